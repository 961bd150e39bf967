"""The HTTP side of a master: API v1, live streams, health, metrics, and the dashboard's files.

`server.py` assembles, `guard.py` decides who may ask, `table.py` is what one endpoint is, `openapi.py`
describes them all; then one file per noun. Handlers know the gateway and the replica, nothing deeper.
"""
