"""Orders about gates. Handlers: `gates.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand
from titan.ids import JobId, RunId
from titan.spec.model import Scalar


class DecideGate(ClientCommand, frozen=True, kw_only=True, tag="gate.decide"):
    """A person approves or rejects. Answers `[state of the job, approvals so far, approvals wanted]`.

    The same decision by the same person again has no effect and is answered alike, also once it is
    decided. Any other decision is then refused as `gate_decided`.
    """

    since: ClassVar[int] = 2

    run: RunId
    gate: JobId  # the gate, or the job that it was put after
    decision: str  # approve | reject
    by: str
    role: str = ""
    comment: str = ""
    answers: dict[str, Scalar] = {}
