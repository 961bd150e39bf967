"""How jobs are fenced off from the worker, from one another and from too much.

`fences.py` is the door for the runner; `sandbox.py`, `container.py` and `cgroups.py` know one technique
each, `limits.py` what a declaration asks of them. `DESIGN.md` of the worker explains the choices.
"""
