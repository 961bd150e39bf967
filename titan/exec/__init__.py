"""The worker: takes attempts from the leader, runs them as processes, keeps their results and logs.

Start with `DESIGN.md` beside this file, then `core.py` (what to do) and `worker.py` (doing it).
"""
