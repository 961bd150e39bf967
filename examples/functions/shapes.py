"""What travels between the functions: plain data with names and types."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Share:
    """How many of `points` random points fell into the quarter circle."""

    points: int
    inside: int
