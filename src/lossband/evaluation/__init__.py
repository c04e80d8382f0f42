"""Were the bands true? Backtests, calibration, comparison of laws."""
