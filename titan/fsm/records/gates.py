"""What is remembered of a gate besides its job: since when it waits, and who decided what and when.

Both are values that are replaced, never changed: a snapshot that is being drawn may share them. They are
arrays on disk: new fields go to the end, with a default.
"""

from __future__ import annotations

import msgspec

from titan.spec.model import Scalar

APPROVE = "approve"
REJECT = "reject"


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One person's last word in one round of a gate."""

    decision: str  # approve | reject
    by: str
    at_ms: int
    role: str = ""
    comment: str = ""
    answers: dict[str, Scalar] = {}
    round: int = 1


class Gate(msgspec.Struct, frozen=True, array_like=True):
    """A gate that has waited at least once."""

    opened_ms: int
    due_ms: int  # when it fails if nobody decides; counts while its job is WAITING
    round: int = 1  # how often it was opened
    decisions: tuple[Decision, ...] = ()  # of this round, in order
    earlier: tuple[Decision, ...] = ()  # of the rounds before, newest last
