"""A schedule: which saved pipeline is started when, what has fired, and what waits to.

When it fires next is not here: time zones are the leader's to know. What is here decides whether a firing
that the leader proposes is new.
"""

from __future__ import annotations

import msgspec

from titan.ids import RunId
from titan.spec.model import Scalar, ScheduleSpec


class Firing(msgspec.Struct, frozen=True, array_like=True):
    """What became of one nominal time. An array on disk: new fields go to the end, with a default."""

    nominal_ms: int
    at_ms: int  # when it was decided
    outcome: str  # started | queued | skipped | missed | failed
    run: RunId = RunId("")
    kind: str = "due"  # due | backfill | manual
    why: str = ""
    missed: int = 0  # nominal times before it that were passed over


class Backfill(msgspec.Struct, frozen=True, array_like=True):
    """A range of nominal times that is being made up for, oldest first."""

    from_ms: int  # inclusive
    until_ms: int  # exclusive
    done_ms: int  # nominal times up to here are done


class Schedule(msgspec.Struct, kw_only=True):
    """One schedule. `revision` is the index of the log that declared it: a firing that was computed from
    an older declaration is refused."""

    name: str
    spec: ScheduleSpec
    pipeline: str
    version: int = 0  # 0: the latest at each firing
    parameters: dict[str, Scalar] = {}
    owner: str = ""
    revision: int = 0
    created: int = 0  # the index that made it; part of the ids of its runs
    is_paused: bool = False
    changed_ms: int = 0
    last_nominal_ms: int = 0  # the newest nominal time that has fired; only later ones may
    queue: tuple[int, ...] = ()  # nominal times that wait for the run before them, in order
    backfill: Backfill | None = None
    live: tuple[RunId, ...] = ()  # runs it started that may not be over, oldest first
    firings: tuple[Firing, ...] = ()  # the newest last
