"""Decisions: compute-optimal allocation, the next run, recipes."""
