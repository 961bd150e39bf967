"""Orders about signals. Handlers: `signals.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand
from titan.ids import RunId


class SendSignal(ClientCommand, frozen=True, kw_only=True, tag="signal.send"):
    """Tell a live run, or one job of it, something. Answers the number of the signal."""

    since: ClassVar[int] = 2
    run: RunId
    job: str = ""  # "" tells the run: the first of its tasks that asks gets it
    name: str
    payload: bytes = b""  # JSON


class AckSignal(ClientCommand, frozen=True, kw_only=True, tag="signal.ack"):
    """A task has taken a signal: nobody gets it again. Answers whether it was still there."""

    since: ClassVar[int] = 2
    seq: int
