"""Pools and launches: which workers the cluster may start by itself, and those it has asked for.

A launch lives from the moment it is recorded, before any provider is called, until its machine is gone.
So a new leader finds every one and repeats the call under the same id.
"""

from __future__ import annotations

from typing import Final

import msgspec

from titan.ids import WorkerId

ASKED: Final = "asked"  # recorded; the provider is to be called, or was and nobody knows
STARTED: Final = "started"  # the provider took the order; the worker is to register
JOINED: Final = "joined"  # its worker has registered
ENDING: Final = "ending"  # it is over; the provider is to take down what is left of it
LAUNCH_STATES: Final = (ASKED, STARTED, JOINED, ENDING)
AWAITED: Final = (ASKED, STARTED)


class Pool(msgspec.Struct, kw_only=True):
    """Workers of one kind that the leader starts and retires. A map on disk."""

    name: str
    provider: str  # local or webhook
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    workers_min: int
    workers_max: int
    idle_ms: int  # so long without work, and an ephemeral worker is retired
    cooldown_ms: int  # between two launches, so that the first ones can show what they change
    register_ms: int  # a launch whose worker has not registered by then has failed
    url: str = ""  # of a webhook
    secret: str = ""  # signs what the webhook gets; never in a view, a log line or an error
    permanent: bool = False  # its workers are not retired when they idle
    is_removed: bool = False  # kept only until what it launched is gone
    launched_ms: int = 0  # when the last launch was recorded
    failures: int = 0  # launches in a row whose worker did not come
    failed_ms: int = 0  # when the last of those failed
    last_error: str = ""

    def __repr__(self) -> str:
        return f"Pool({self.name!r}, {self.provider}, {self.workers_min}–{self.workers_max})"


class Launch(msgspec.Struct, kw_only=True):
    """One worker that a pool was to get. Its id is the idempotency key of every call about it."""

    id: str
    pool: str
    state: str
    asked_ms: int
    due_ms: int  # when it has failed unless its worker has registered
    worker: WorkerId = WorkerId("")  # once it has registered
    master: str = ""  # that asked for it, or on whose machine a local one was started
