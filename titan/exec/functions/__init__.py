"""Python functions in warm processes: `crews.py` on the worker's side, `host.py` on theirs."""
