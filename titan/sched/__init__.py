"""Decides which worker runs which ready job. Pure: state and events in, proposals out.

Nothing here is replicated and nothing here is trusted: the state machine checks every proposal again,
and a planner can be thrown away and rebuilt from the state at any index. Start at `planner.py`;
DESIGN.md says why it is built this way.
"""
