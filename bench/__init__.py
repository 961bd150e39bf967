"""Benchmarks: `python -m bench` runs Titan and peers in turns. `cases.py` says what, `runner.py` how."""
