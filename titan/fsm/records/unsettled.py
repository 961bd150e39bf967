"""What is under way at a run: effects that one entry could not carry along all of their edges.

A record names jobs and says how far it got, never refers to one, so it is in snapshots as it stands and
a new leader goes on where the old one stopped. What the work does: `settling.py`.
"""

from __future__ import annotations

import msgspec

from titan.ids import JobId


class Telling(msgspec.Struct, array_like=True):
    """Ended jobs whose children have yet to hear of it, in the order in which they ended."""

    now_ms: int  # when it began: everything it does counts as done then
    parents: list[JobId]  # those that are skipped on the way join at the end
    child: int = 0  # how many children of the first one know


class Starting(msgspec.Struct, array_like=True, tag="start"):
    """A run was submitted, and many of its jobs that can start have to do with time."""

    now_ms: int
    timed: list[tuple[JobId, int, int]]  # job, delay_ms, queue_timeout_ms
    at: int = 0  # how many of them have their timer

    @property
    def about(self) -> str:
        """What is going on, in words."""
        return "the start of its run"


class CancellingRun(msgspec.Struct, array_like=True, tag="cancel_run"):
    """Every job of a run is to be cancelled."""

    now_ms: int
    at: int = 0  # how many jobs of the run have been looked at
    reason: str = "cancelled"  # what its jobs say

    @property
    def about(self) -> str:
        """What is going on, in words."""
        return "the cancelling of its run"


class CancellingJob(msgspec.Struct, array_like=True, tag="cancel_job"):
    """Everything alive below a job is to be cancelled."""

    now_ms: int
    root: JobId
    parents: list[JobId]  # cancelled; their children are to follow
    child: int = 0  # how many children of the first one have

    @property
    def about(self) -> str:
        """What is going on, in words."""
        return f"the cancelling of '{self.root}'"


class Retrying(msgspec.Struct, array_like=True, tag="retry"):
    """What ended because of a job is to be reopened with it, parents before children (Kahn 1962).

    First all candidates are found, then each is decided once its parents among them are, and last the
    other children of reopened jobs learn that they wait again.
    """

    now_ms: int
    root: JobId
    found: list[JobId]  # candidates whose children have yet to be looked at
    child: int = 0  # how many children of the first job of `found`, or of `ordered`, were looked at
    above: dict[JobId, int] = {}  # candidate → how many candidates above it are undecided
    ordered: list[JobId] = []  # candidates whose turn to be decided it is
    is_decided: bool = False  # whether the first of those is, and only its children are left
    is_reopened: bool = False  # and how
    others: dict[JobId, None] = {}  # to be counted again
    is_sorted: bool = False  # nothing but `others` is left

    @property
    def about(self) -> str:
        """What is going on, in words."""
        return f"the retry of '{self.root}'"


class Mutating(msgspec.Struct, array_like=True, tag="mutate"):
    """A run was changed. What follows is carried out one after the other: children hear of jobs that
    were skipped, then jobs are cancelled, then others run again."""

    now_ms: int
    told: list[JobId] = []  # as `Telling.parents`
    child: int = 0
    todo: list[tuple[str, JobId]] = []  # "cancel" or "rerun", and which job
    failed: list[JobId] = []  # to run again after those, as far as they can
    at: int = 0  # how many of both have begun
    part: CancellingJob | Retrying | None = None  # the last of them, when it goes on
    is_refreshed: bool = False  # whether the run knows what ended before the first that runs again

    @property
    def about(self) -> str:
        """What is going on, in words."""
        return "a change of its run"


Operation = Starting | CancellingRun | CancellingJob | Retrying | Mutating


class Unsettled(msgspec.Struct, kw_only=True):
    """What is under way at one run. Never empty: an operation, or at least one telling."""

    operation: Operation | None = None  # alone at the run: whatever else would touch it has to wait
    tellings: list[Telling] = msgspec.field(default_factory=list)  # first come, first served
    last_ms: int = 0  # when the last job ended that all this is about
    is_wanted: bool = False  # somebody waits for the end: nothing joins any more
    parked: list[tuple[int, int, str, tuple[str, ...]]] = msgspec.field(
        default_factory=list
    )  # timers that fell due during an operation
