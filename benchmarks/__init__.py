"""Benchmarks. `python -m benchmarks` runs all of them; README.md says what they measure."""
