"""Benchmarks: real processes on this machine, medians with spread, nothing tuned beyond the defaults."""
