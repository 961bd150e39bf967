"""The state machine's refusals as the exceptions that callers know."""

from __future__ import annotations

from typing import Final

from titan.errors import (
    AccessDenied,
    Conflict,
    InvalidSpec,
    LimitExceeded,
    NotFound,
    TitanError,
    UnknownOutcome,
    UserError,
)
from titan.wire.messages import WriteDone

_NOT_FOUND: Final = (
    "unknown_run",
    "unknown_job",
    "unknown_worker",
    "unknown_attempt",
    "unknown_gate",
    "unknown_pipeline",
    "unknown_schedule",
    "unknown_pool",
    "unknown_revision",
    "unknown_budget",
)
_INVALID: Final = (
    "duplicate_job",
    "unknown_parent",
    "cycle",
    "invalid_job",
    "not_supported",
    "invalid_answers",
    "invalid_parameters",
)
_TOO_LARGE: Final = ("too_large", "key_limit", "stage_full", "lock_limit", "lock_queue_full")
_HINTS: Final = {
    "attempt_not_live": "another attempt of this task has replaced this one; its effects no longer count",
    "budget_exhausted": "raise the limit: titan budgets set BUDGET --jobs N, or set_budget()",
    "cas_failed": "read the key again and begin anew; nothing of the commit has happened",
    "job_over": "only a job that has not ended can be told something",
    "lock_lost": "somebody else may hold the lock by now; acquire it again and begin anew",
    "mailbox_full": "let a task take the signals that wait, then try again",
    "not_in_task": "titan.sdk.current() works in jobs that a worker started",
    "run_over": "the run has ended: submit a new one, or retry one of its jobs",
    "pool_full": "raise its maximum: titan pools set NAME --max N",
    "revision_changed": "look at the run again, then decide again",
    "already_started": "only what has not started can be changed; cancel it, or reroute it with restart",
    "already_over": "it has ended: run it again instead",
    "not_own_run": "a task may change its own run only",
    "wrong_type": "the key holds a set and not a value, or the other way round",
}


def refusal(done: WriteDone) -> TitanError | None:
    """The exception for a refused write, or None for one that took effect."""
    code = done.rejected
    if not code:
        return None
    text = f"{done.why} ({code})" if done.why else code.replace("_", " ")
    if code in _NOT_FOUND:
        return NotFound(text)
    if code == "invalid":
        return UserError(done.why)
    if code in _INVALID:
        return InvalidSpec(text, problems=(text,))
    if code == "not_an_approver":
        return AccessDenied(
            text, hint="say who you are: by a user's name or a role that may decide"
        )
    if code in _TOO_LARGE:
        return LimitExceeded(text)
    if code == "request_expired":  # it was answered once, too long ago for the answer to be known
        return UnknownOutcome(text)
    return Conflict(text, hint=_HINTS.get(code, ""), reason=code)
