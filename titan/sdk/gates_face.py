"""Gates that wait for people, for code without asyncio: the twin of `gates.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from titan.sdk.face import Face, Parameter

if TYPE_CHECKING:
    from titan.fsm.queries import GateView
    from titan.sdk.gates import Decided


class GatesFace(Face):
    """Gates of a client."""

    def approve(
        self,
        gate: object,
        run: object | None = None,
        *,
        comment: str = "",
        answers: Mapping[str, Parameter] | None = None,
        by: str | None = None,
        role: str = "",
    ) -> Decided:
        """Approve a gate, named by its id or by the job it comes after, in the newest run where it waits.

        `answers` fill in its form; `by` is the user of this process by default. Saying the same again has
        no effect. Raises `NotFound`, `InvalidSpec` for wrong answers, `AccessDenied` for one who may not
        decide, `Conflict` with the reason `gate_decided`, naming who decided, or `not_ready`.
        """
        work = self._here().approve(gate, run, comment=comment, answers=answers, by=by, role=role)
        return self._call(work)

    def reject(
        self,
        gate: object,
        run: object | None = None,
        *,
        comment: str = "",
        by: str | None = None,
        role: str = "",
    ) -> Decided:
        """Reject a gate: it fails and is not tried again. Raises as `approve` does."""
        return self._call(self._here().reject(gate, run, comment=comment, by=by, role=role))

    def pending_gates(self, run: object | None = None) -> list[GateView]:
        """The gates that wait for people, those of the newest runs first; at most 1000."""
        return self._call(self._here().pending_gates(run))

    def get_gate(self, gate: str, run: object | None = None) -> GateView:
        """One gate, with everything that was decided. Raises `NotFound`."""
        return self._call(self._here().get_gate(gate, run))
