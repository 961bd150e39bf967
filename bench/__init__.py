"""Benchmarks: `python -m bench` runs Titan and its peers in turns. `cases.py` says what, `runner.py` how."""
