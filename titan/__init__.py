"""Titan runs pipelines on your own machines and keeps them running when machines fail.

Start reading at `ARCHITECTURE.md`; the numbered flow there is the one comments refer to.
"""

__version__ = "0.1.0"
