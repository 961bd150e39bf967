"""Saying in a write which lock must be held for it."""

from __future__ import annotations

from typing import Protocol, TypedDict


class HasToken(Protocol):
    """A lock that is held."""

    @property
    def name(self) -> str:
        """Of the lock."""

    @property
    def token(self) -> int:
        """Of the hold; 0 when it is not held."""


Fence = HasToken | tuple[str, int]  # a lock, or its name and fencing token


class FenceFields(TypedDict, total=False):
    """The fields of a command that name the lock."""

    lock: str
    token: int


def fence(held: Fence | None) -> FenceFields:
    """The fields for a write under this lock; none without one."""
    if held is None:
        return {}
    name, token = held if isinstance(held, tuple) else (held.name, held.token)
    if not name or token <= 0:
        raise ValueError("if_lock names no lock that is held: acquire it first")
    return {"lock": name, "token": token}
