"""Many workers in one process that answer at once: `python -m bench.titan.answering MASTERS COUNT SLOTS`.

Each has a connection of its own, registers, beats and reconnects by the worker's own session; only there is
no process to start: every attempt has ended as soon as it is ordered. What is left is what the masters
can do. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import uvloop

from titan.exec.config import WorkerConfig
from titan.exec.session import Session
from titan.ids import AttemptId, WorkerId, new_worker_id
from titan.wire.channel import Channel
from titan.wire.messages import (
    ROLE_WORKER,
    AttemptEnded,
    Confirmed,
    Heartbeat,
    Hello,
    Message,
    Register,
    Registered,
    RunAttempt,
)

TOOK_US = 1000  # what every attempt says that it took


class AnsweringWorker:
    """One worker. What it has told is kept until it is confirmed, as in a worker's outbox."""

    def __init__(self, masters: tuple[str, ...], *, slots: int, number: int) -> None:
        self._id = WorkerId(new_worker_id())
        self._slots = slots
        self._name = f"answering-{number}"
        self._epoch = 0
        self._told: dict[AttemptId, AttemptEnded] = {}
        config = WorkerConfig(masters=masters, data_dir=Path(), slots=slots)
        hello = Hello(role=ROLE_WORKER, id=self._id, incarnation=1)
        self.session = Session(self, config=config, hello=hello)

    def registration(self) -> Register:
        return Register(
            worker=self._id,
            incarnation=1,
            name=self._name,
            capabilities=("GENERAL",),
            slots=self._slots,
            resources={},
            holds=tuple(self._told),
            epoch_seen=self._epoch,
            version="1",
        )

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(load_milli=100, memory_free_mb=1000, disk_free_mb=1000)

    def on_registered(self, registered: Registered) -> None:
        self._epoch = registered.epoch
        for ended in list(self._told.values()):
            self.session.send(ended)

    def on_message(self, message: Message) -> None:
        if isinstance(message, RunAttempt):
            ended = AttemptEnded(attempt=message.attempt, exit_code=0, duration_us=TOOK_US)
            self._told[message.attempt] = ended
            self.session.send(ended)
        elif isinstance(message, Confirmed):
            for attempt in message.attempts:
                self._told.pop(attempt, None)

    async def on_channel(self, message: Message, channel: Channel) -> Message:
        raise AssertionError("nobody asks for logs of jobs that print nothing")


async def serve(masters: tuple[str, ...], *, count: int, slots: int) -> None:
    """Until standard input ends."""
    workers = [AnsweringWorker(masters, slots=slots, number=n) for n in range(count)]
    tasks = [asyncio.create_task(one.session.run(), name=one._name) for one in workers]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read), name="stdin")
    await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
    for one in workers:
        one.session.close()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    uvloop.run(serve(tuple(sys.argv[1].split(",")), count=int(sys.argv[2]), slots=int(sys.argv[3])))
