"""Speed: lossband beside what else samples or bootstraps the same law, on the same rows.

See `python -m benchmarks.speed --help`.
"""
