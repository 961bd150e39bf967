"""Every error a caller can see, with a code that never changes.

    TitanError
    ├── UserError            the caller's input is at fault; exit 2
    │   ├── InvalidSpec      a pipeline or job that cannot run; lists every problem
    │   ├── NotFound         no such run, job, key, blob or worker
    │   ├── Conflict         the state machine refused: the world is not as assumed
    │   └── LimitExceeded    larger than `titan.limits` allows
    ├── Unavailable          nobody could serve it now; retryable; exit 69
    │   ├── NotLeader        ask the leader instead
    │   ├── ConnectionLost   the peer went away before it answered
    │   ├── TimedOut         the deadline passed
    │   └── DiskFull         the master is read-only until space is freed
    ├── UnknownOutcome       it may or may not have happened; retry with the same ids; exit 75
    ├── DeployFailed         a new version of a service never became healthy; exit 1
    ├── ProtocolError        the peer does not speak our protocol
    ├── AccessDenied         the peer may not do that; exit 77
    └── Fatal                this process must stop rather than serve wrong answers; exit 70

Clients decide on `code` and `retryable`, never on the text. `hint` says how to mend it.
"""

from __future__ import annotations

from typing import ClassVar


class TitanError(Exception):
    """Base of every error that Titan raises on purpose."""

    code: ClassVar[str] = "error"  # stable on the wire, in logs and in tests
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.hint = hint


class UserError(TitanError):
    """The request cannot be right as it stands."""

    code = "user_error"
    exit_code = 2


class InvalidSpec(UserError):
    """The pipeline cannot run as declared."""

    code = "invalid_spec"

    def __init__(
        self, message: str = "", *, hint: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message or "\n".join(problems), hint=hint)
        self.problems = problems


class NotFound(UserError):
    """There is no such thing."""

    code = "not_found"
    exit_code = 4


class Conflict(UserError):
    """The cluster's state does not allow it. `reason` is the state machine's stable refusal code."""

    code = "conflict"
    exit_code = 5

    def __init__(self, message: str = "", *, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class LimitExceeded(UserError):
    """Larger than a limit of `titan.limits`."""

    code = "limit_exceeded"


class Unavailable(TitanError):
    """No master could serve this now; the same request may succeed later."""

    code = "unavailable"
    retryable = True
    exit_code = 69


class NotLeader(Unavailable):
    """This master does not lead. Retry at `leader`, or at any master when it is None."""

    code = "not_leader"

    def __init__(self, message: str = "", *, hint: str = "", leader: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.leader = leader


class ConnectionLost(Unavailable):
    """The connection ended before the answer came."""

    code = "connection_lost"


class TimedOut(Unavailable):
    """The deadline passed before the answer came."""

    code = "timed_out"


class DiskFull(Unavailable):
    """The disk of this master is too full to accept writes; reads go on."""

    code = "disk_full"


class UnknownOutcome(TitanError):
    """The write may or may not have taken effect; repeat it with the same ids to learn which."""

    code = "unknown_outcome"
    retryable = True
    exit_code = 75


class DeployFailed(TitanError):
    """A new version of a service never became healthy; the one before it stays."""

    code = "deploy_failed"


class ProtocolError(TitanError):
    """The peer sent something outside the protocol; the connection is closed."""

    code = "protocol_error"
    exit_code = 76


class AccessDenied(TitanError):
    """The peer's role does not allow this."""

    code = "access_denied"
    exit_code = 77


class Fatal(TitanError):
    """Continuing could give wrong answers, so the process leaves with this reason."""

    code = "fatal"
    exit_code = 70


def _tree(base: type[TitanError]) -> dict[str, type[TitanError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found.update(_tree(child))
    return found


def from_wire(code: str, message: str, *, hint: str = "", detail: str = "") -> TitanError:
    """Rebuild the error a peer sent. An unknown code becomes a plain `TitanError`.

    `detail` is the leader's address for `not_leader` and the refusal code for `conflict`.
    """
    kind = _tree(TitanError).get(code, TitanError)
    if kind is NotLeader:
        return NotLeader(message, hint=hint, leader=detail or None)
    if kind is Conflict:
        return Conflict(message, hint=hint, reason=detail)
    return kind(message, hint=hint)


def wire_detail(error: TitanError) -> str:
    """The one extra field of an error that travels; the counterpart of `from_wire`."""
    if isinstance(error, NotLeader):
        return error.leader or ""
    if isinstance(error, Conflict):
        return error.reason
    return ""
