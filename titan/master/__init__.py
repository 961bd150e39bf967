"""One master: gateway, leader procedure, dispatcher, worker sessions, blob store, HTTP.

Every master is the same program; a leader is only the one that is allowed to plan. Start at
`process.py`, which assembles it, then `reign.py`, which is what leading means.
"""
