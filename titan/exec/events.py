"""What the worker's core is told, besides the leader's messages, and what it orders.

Values only. The shell (`worker.py`) turns the outside world into these events and these instructions
into effects; `core.py` stands between them and touches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from titan.ids import AttemptId
from titan.spec.manifest import Manifest
from titan.wire.messages import (
    AttemptEnded,
    AttemptReleased,
    Confirmed,
    Goodbye,
    KillAttempt,
    LeaveNow,
    Leaving,
    Registered,
    Retract,
    RunAttempt,
)

# --- events --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessStarted:
    """The attempt's process exists."""

    attempt: AttemptId


@dataclass(frozen=True, kw_only=True, slots=True)
class StartFailed:
    """The attempt's process could not be started; `detail` is one line for people.

    `cause`: start_failed when the declaration is at fault and trying again is pointless;
    not_prepared when the surroundings were (the bundle could not be had, the disk is full);
    port_in_use when a stranger has the port of a service.
    """

    attempt: AttemptId
    detail: str
    cause: str = "start_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessEnded:
    """The attempt's process has ended and nothing of it is left. `detail` says what went wrong."""

    attempt: AttemptId
    exit_code: int
    duration_us: int = 0
    log_bytes: int = 0
    output: bytes = b""
    detail: str = ""
    cpu_us: int = 0  # of the process and of those it waited for
    cause: str = (
        ""  # why it counts as failed whatever its exit code is: out_of_memory, not_prepared, …
    )
    log: bytes = b""  # all that it has written, when that is little
    artifacts: Manifest | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputTooLarge:
    """The attempt has printed more than it may."""

    attempt: AttemptId


@dataclass(frozen=True, kw_only=True, slots=True)
class Hopeless:
    """The attempt's service has been unhealthy for too long."""

    attempt: AttemptId


@dataclass(frozen=True, kw_only=True, slots=True)
class TimePassed:
    """It is `now_ms`; something may be due."""


Event = (
    RunAttempt
    | KillAttempt
    | Retract
    | Confirmed
    | Registered
    | LeaveNow
    | ProcessStarted
    | StartFailed
    | ProcessEnded
    | OutputTooLarge
    | Hopeless
    | TimePassed
)

# --- instructions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Prepare the attempt and start its process; answered by `ProcessStarted` or `StartFailed`."""

    order: RunAttempt


@dataclass(frozen=True, slots=True)
class Kill:
    """Ask the attempt's processes to end (TERM), or stop preparing it."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class Escalate:
    """End the attempt's processes (KILL)."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class Report:
    """Keep the result in the outbox, then send it until it is confirmed."""

    result: AttemptEnded


@dataclass(frozen=True, slots=True)
class Forget:
    """The results are confirmed: drop them from the outbox."""

    attempts: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the leader, if there is one now."""

    message: AttemptReleased | Goodbye | Leaving


@dataclass(frozen=True, slots=True)
class RefuseLeader:
    """The leader belongs to an older epoch than one seen before: leave it for another master."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing runs and nothing will: the worker may exit."""


Instruction = Start | Kill | Escalate | Report | Forget | Send | RefuseLeader | Stop
