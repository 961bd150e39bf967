"""Records of signals. What they mean and how they change: `titan.fsm.signals`."""

from __future__ import annotations

import msgspec


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a run or a job was told and nobody has taken yet."""

    seq: int  # order of arrival across all runs
    name: str
    payload: bytes
    sent_ms: int
    sender: str = ""  # for people: the client that sent it


Mailboxes = dict[str, list[Signal]]  # of a run: by job, "" for the run itself; no empty ones
