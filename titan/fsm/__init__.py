"""The replicated state machine: pure, total, deterministic. The state is the database.

PURE: no clock, chance, threads, sockets, files or logging; no iteration over sets; no float sums.
Time and ids arrive inside commands. Start at `machine.py`.
"""
