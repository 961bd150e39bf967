"""Gates: what waits for people, and deciding it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from titan.fsm.commands import DecideGate
from titan.fsm.queries import GateView, GetGate, ListGates
from titan.ids import JobId, RunId
from titan.sdk.core import Core
from titan.sdk.given import owner, values
from titan.spec.model import Scalar


class Decided(NamedTuple):
    """What a decision led to: COMPLETED or FAILED, or still WAITING for more approvals."""

    run: RunId
    gate: JobId
    state: str
    approvals: int
    wanted: int


class GatesApi(Core):
    """Gates of a client. `gate` is a gate's id, the id of the job it comes after, or a `GateView`.

    Without `run` it is the newest run where that gate waits.
    """

    async def approve(
        self,
        gate: object,
        run: object | None = None,
        *,
        comment: str = "",
        answers: Mapping[str, Scalar] | None = None,
        by: str | None = None,
        role: str = "",
    ) -> Decided:
        """Approve. `answers` fill in the gate's form; `by` is the user of this process by default.

        Saying the same again has no effect. Raises `NotFound`; `InvalidSpec` with everything that is wrong
        with the answers; `AccessDenied` for one who may not decide; `Conflict` with the reason
        `gate_decided`, naming who decided and when, or `not_ready` before it waits.
        """
        fields = values(answers, what="answers")
        return await self._decide(
            gate, run, decision="approve", comment=comment, answers=fields, by=by, role=role
        )

    async def reject(
        self,
        gate: object,
        run: object | None = None,
        *,
        comment: str = "",
        by: str | None = None,
        role: str = "",
    ) -> Decided:
        """Reject: the gate fails and is not tried again. Raises as `approve` does."""
        return await self._decide(
            gate, run, decision="reject", comment=comment, answers={}, by=by, role=role
        )

    async def pending_gates(self, run: object | None = None) -> list[GateView]:
        """The gates that wait for people, those of the newest runs first; at most 1000."""
        return await self._read(ListGates(run="" if run is None else str(run)), list[GateView])

    async def get_gate(self, gate: str, run: object | None = None) -> GateView:
        """One gate, with everything that was decided. Raises `NotFound`."""
        query = GetGate(gate=gate, run="" if run is None else str(run))
        return await self._read(query, GateView)

    async def _decide(
        self,
        gate: object,
        run: object | None,
        *,
        decision: str,
        comment: str,
        answers: dict[str, Scalar],
        by: str | None,
        role: str,
    ) -> Decided:
        found = gate if isinstance(gate, GateView) else await self.get_gate(str(gate), run)
        command = DecideGate(
            run=found.run,
            gate=found.id,
            decision=decision,
            by=by or owner() or "unknown",
            role=role,
            comment=comment,
            answers=answers,
        )
        state, given, wanted = await self._write(command)
        return Decided(found.run, found.id, state, given, wanted)
