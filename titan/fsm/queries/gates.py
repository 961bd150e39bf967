"""Questions about gates, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import JobId, RunId
from titan.spec.model import Input, Scalar


class ListGates(Query, frozen=True, kw_only=True, tag="gates"):
    """Gates that wait for people, those of the newest runs first → list[GateView]."""

    run: str = ""  # "": of all runs
    limit: int = 1000


class GetGate(Query, frozen=True, kw_only=True, tag="gate"):
    """One gate → GateView. `gate` is its id or that of the job it comes after. Without a run: of the
    newest run where it waits, else of the newest that has it. `DAG-` is accepted and ignored."""

    gate: str
    run: str = ""


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """What one person decided at a gate. `round` is 1 for the first time it waited."""

    decision: str  # approve | reject
    by: str
    role: str
    at_ms: int
    comment: str
    answers: dict[str, Scalar]
    round: int


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate as people see it; it can be decided while `state` is WAITING."""

    run: RunId
    run_name: str
    id: JobId
    after: JobId  # the job that it was put after; "" when it was declared as a job
    state: str
    reason: str
    message: str
    opened_ms: int  # 0 before it waits
    due_ms: int  # when it fails if nobody decides
    wanted: int  # approvals
    users: tuple[str, ...]  # who may decide; anybody when there are neither users nor roles
    roles: tuple[str, ...]
    form: dict[str, Input]
    decisions: tuple[DecisionView, ...] = ()
