"""Were the bands calibrated? Backtests, calibration, comparison of laws."""
