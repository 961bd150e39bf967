"""What a worker says it holds, against what the state says: what to send again, kill and give up.

Pure and without memory. Asked when a worker has joined (and the join is applied), and whenever its
holdings are learnt anew. A repeated dispatch is the same attempt with the same fence: a worker that
knows the attempt, be it only as a result it has not delivered yet, ignores it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from titan.fsm.state import Attempt, State
from titan.ids import AttemptId, WorkerId


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from comparing the two. Attempts in order of assignment."""

    live: tuple[AttemptId, ...] = ()  # what the worker may keep or get: `Registered.live`
    redispatch: tuple[Attempt, ...] = ()  # live here, unknown there: the dispatch was lost
    kill: tuple[AttemptId, ...] = ()  # held there, not live here: superseded or cancelled
    lost: tuple[AttemptId, ...] = ()  # died with an earlier life of the worker: to be released


def reconcile(
    state: State, worker: WorkerId, *, incarnation: int, holds: Iterable[AttemptId]
) -> Reconciliation:
    """Compare what `worker`, in the life `incarnation`, holds with what it should hold.

    An attempt of an earlier life counts as live only if the worker still holds it.
    """
    held = dict.fromkeys(holds)
    record = state.workers.get(worker)
    mine = [] if record is None else [state.attempts[attempt] for attempt in record.live]
    lost = [a for a in mine if a.incarnation != incarnation and a.id not in held]
    gone = dict.fromkeys(a.id for a in lost)
    live = [a for a in mine if a.id not in gone]
    wanted = dict.fromkeys(a.id for a in live)
    return Reconciliation(
        live=tuple(wanted),
        redispatch=tuple(a for a in live if a.id not in held),
        kill=tuple(attempt for attempt in held if attempt not in wanted),
        lost=tuple(gone),
    )
