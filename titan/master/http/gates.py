"""Gates over HTTP: what waits for people, and deciding it."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.errors import UserError
from titan.fsm.commands import DecideGate
from titan.fsm.queries import GateView, GetGate, ListGates
from titan.ids import JobId, RunId
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint, Page
from titan.spec.inputs import scalars
from titan.spec.model import Scalar


class GatesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which gates: of one run, or of all."""

    run: str = ""
    limit: int = LIST_PAGE_MAX
    consistent: bool = False


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides, in which role, and why. `answers` fill in the form; a rejection needs none."""

    by: str
    role: str = ""
    comment: str = ""
    answers: dict[str, Scalar] = {}


class Decided(msgspec.Struct, frozen=True):
    """The gate's state after the decision: COMPLETED, FAILED, or still WAITING for more approvals."""

    index: int
    state: str
    approvals: int
    wanted: int


async def list_gates(api: Api, call: Call) -> Page[GateView]:
    """Those of the newest runs first."""
    query: GatesQuery = call.query
    return Page(api.read(ListGates(run=query.run, limit=query.limit)))


async def get_gate(api: Api, call: Call) -> GateView:
    """One gate with everything that was decided, by its id or that of the job it comes after."""
    view: GateView = api.read(GetGate(run=call.path.get("run", ""), gate=call.path["gate"]))
    return view


async def approve(api: Api, call: Call) -> Decided:
    """One person approves."""
    return await _decide(api, call, "approve")


async def reject(api: Api, call: Call) -> Decided:
    """One person rejects."""
    return await _decide(api, call, "reject")


async def _decide(api: Api, call: Call, decision: str) -> Decided:
    word: Word = call.body
    try:
        answers = scalars(word.answers)
    except ValueError as why:
        raise UserError(f"answers: {why}") from None
    command = DecideGate(
        run=RunId(call.path["run"]),
        gate=JobId(call.path["gate"]),
        decision=decision,
        by=word.by,
        role=word.role,
        comment=word.comment,
        answers=answers,
    )
    done = await api.write(command, key=call.idempotency_key)
    state, approvals, wanted = done.value
    return Decided(done.index, state, approvals, wanted)


_GATE: Final = "/api/v1/runs/{run}/gates/{gate}"
ENDPOINTS: Final = (
    Endpoint(
        "GET", "/api/v1/gates", list_gates, "Gates that wait for people", Page[GateView], GatesQuery
    ),
    Endpoint(
        "GET",
        "/api/v1/gates/{gate}",
        get_gate,
        "A gate of the newest run where it waits",
        GateView,
        ReadQuery,
    ),
    Endpoint("GET", _GATE, get_gate, "One gate", GateView, ReadQuery),
    Endpoint("POST", f"{_GATE}/approve", approve, "Approve at a gate", Decided, body=Word),
    Endpoint("POST", f"{_GATE}/reject", reject, "Reject at a gate", Decided, body=Word),
)
