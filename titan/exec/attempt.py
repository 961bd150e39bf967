"""One attempt as its worker sees it, with the history that every error about it carries."""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

from titan.errors import TitanError
from titan.ids import AttemptId
from titan.spec.model import slots_of
from titan.wire.messages import RunAttempt

_HISTORY_MAX: Final = 32  # the longest sensible life has about ten steps


class Phase(enum.Enum):
    """Where an attempt stands. It only ever moves down this list."""

    QUEUED = "queued"  # waits for slots; may be given back
    STARTING = "starting"  # its slots are taken; all that it needs is on its way
    RUNNING = "running"
    ENDED = "ended"  # its result waits in the outbox


class CoreFault(TitanError):
    """The worker's core was driven wrongly, or drove itself wrongly; carries the attempt's history."""

    code = "worker_core_fault"
    exit_code = 70


class Attempt:
    """An attempt between its order and the confirmation of its result."""

    __slots__ = (
        "deadline_ms",
        "doom",
        "escalate_ms",
        "has_result",
        "history",
        "id",
        "order",
        "phase",
        "slots",
    )

    def __init__(self, order: RunAttempt, *, now_ms: int) -> None:
        self.id: AttemptId = order.attempt
        self.order = order
        self.slots = slots_of(order.spec.resources)
        self.phase = Phase.QUEUED
        self.deadline_ms: int | None = (
            None  # of the time-out, while it is prepared and while it runs
        )
        self.escalate_ms: int | None = None  # of the next KILL, while it is being killed
        self.doom = ""  # why it is being killed: a cause, or "unwanted"
        self.has_result = True  # False once nobody wants to hear how it ends
        self.history: deque[tuple[int, str]] = deque(maxlen=_HISTORY_MAX)
        self.note("queued", now_ms=now_ms)

    def note(self, what: str, *, now_ms: int) -> None:
        """Remember a step."""
        self.history.append((now_ms, what))

    @property
    def is_live(self) -> bool:
        """Whether it takes slots: a process exists or is about to."""
        return self.phase in (Phase.STARTING, Phase.RUNNING)

    @property
    def is_service(self) -> bool:
        """Whether it runs until somebody ends it."""
        return self.order.spec.type == "service"

    @property
    def due_ms(self) -> int | None:
        """When time alone changes something about it."""
        return self.escalate_ms if self.doom else self.deadline_ms

    @property
    def doom_text(self) -> str:
        """Why it is being killed, for people; "" when the cause says it all."""
        match self.doom:
            case "timeout":
                return f"it ran longer than {self.order.spec.timeout_ms} ms"
            case "output_limit":
                limit_mb = self.order.spec.limits.get("output_mb")
                own = f"its limit of {limit_mb} MiB" if limit_mb else "this worker keeps"
                return f"it printed more than {own}"
        return ""

    def fault(self, what: str) -> CoreFault:
        """An error about this attempt, with everything that happened to it."""
        past = "; ".join(f"{at_ms} {step}" for at_ms, step in self.history)
        return CoreFault(f"attempt {self.id} ({self.phase.value}): {what}. History: {past}")
