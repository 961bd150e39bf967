"""What changed in the graph of a run, by whom and when. What is done with it: `revisions.py`.

A record holds what it takes to go back: added jobs as a range of their numbers, changed fields as they
were and as they became. Arrays in snapshots: new fields go to the end, with a default.
"""

from __future__ import annotations

import msgspec

from titan.fsm.commands.mutation import Fields
from titan.ids import JobId


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """A job whose declaration changed: only the fields that did."""

    job: JobId
    before: Fields
    after: Fields


class Revision(msgspec.Struct, frozen=True, array_like=True):
    """One change of a run's graph."""

    number: int  # about the index of the log; grows by one at least
    before: int  # the number of the revision before it
    at_ms: int
    by: str
    note: str
    first_added: int = 0  # the `Job.seq` of the first added job
    added: int = 0
    changed: tuple[Changed, ...] = ()
    skipped: tuple[JobId, ...] = ()
    cancelled: tuple[JobId, ...] = ()
    rerun: tuple[JobId, ...] = ()  # the first few
    reruns: int = 0  # how many
    restarted: tuple[JobId, ...] = ()
    undone: int = 0  # the revision that this one undid
    removed: int = 0  # how many added jobs that took back
    size: int = 0  # bytes, without this


class History(msgspec.Struct, array_like=True):
    """The newest revisions of one run, oldest first."""

    revisions: list[Revision]
    size: int = 0  # bytes of all
