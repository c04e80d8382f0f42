"""One fit: find the mode, whiten, sample, finish."""
