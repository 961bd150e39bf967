"""Signals, as a client sends them. Tasks wait for them: `in_task.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from titan.fsm.commands import SendSignal
from titan.ids import RunId
from titan.sdk.core import Core
from titan.sdk.payloads import json_bytes


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that a task was told. `payload` is what JSON makes of it."""

    name: str
    payload: Any
    seq: int  # grows with every signal
    sent_ms: int
    sender: str = ""  # the client session


class SignalsApi(Core):
    """Signals of a client."""

    async def signal(
        self, run: object, name: str, payload: Any = None, *, job: str | None = None
    ) -> int:
        """Tell a live run, or one of its jobs, something; answers the number of the signal.

        It waits in a mailbox until a task takes it: one of the job, or the first of the run that asks.
        `payload` is anything JSON knows, at most 64 KiB. Raises `Conflict` when the run or job has
        ended or its mailbox is full.
        """
        data = b"" if payload is None else json_bytes(payload, what="the payload of a signal")
        command = SendSignal(run=RunId(str(run)), job=job or "", name=name, payload=data)
        return int(await self._write(command))
