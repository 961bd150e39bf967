"""Questions about signals, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import JobId, RunId


class PeekSignal(Query, frozen=True, kw_only=True, tag="signal.peek"):
    """The signal of this name that a task of the job gets next, its own or the run's → SignalView or
    None."""

    run: RunId
    job: JobId
    name: str


class SignalView(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that nobody has taken. `payload` is JSON."""

    seq: int
    name: str
    payload: bytes
    sent_ms: int
    sender: str
