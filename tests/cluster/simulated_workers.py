"""Many workers in one process that speak the protocol and start nothing: what their tasks do is told here.

    python -m tests.cluster.simulated_workers MASTERS LABEL COUNT

Orders come as lines on stdin, answers go as JSON lines to stdout. Stopping the process pauses all of its
workers at once, as a laptop that is closed does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from titan.errors import Conflict
from titan.fsm import commands as c
from titan.ids import JobId, RunId, WorkerId, new_run_id
from titan.limits import SESSION_RESULTS_MAX
from titan.sdk import AsyncClient
from titan.spec.model import JobSpec
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
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

AT_ONCE: Final = min(128, SESSION_RESULTS_MAX)
SPEC: Final = JobSpec(id=JobId("child"), argv=(b"true",))


def effects(run: RunId, job: str, label: str, signal: int) -> dict[str, c.Command]:
    """Something of every kind that code inside a task can do to the cluster, by name."""
    put = c.KvPut(key=f"batch/{job}", value=label.encode())
    child = c.AddJobs(run=run, jobs=(JobSpec(id=JobId(f"child-{job}"), argv=(b"true",)),))
    new = new_run_id()
    return {
        "kv.put": c.KvPut(key=f"kept/{job}", value=label.encode()),
        "kv.put of a new key": c.KvPut(key=f"new/{job}", value=label.encode()),
        "kv.delete": c.KvDelete(key=f"kept/{job}"),
        "kv.cas": c.KvCas(key=f"kept/{job}", expected=b"1", value=label.encode()),
        "kv.incr": c.KvIncr(key=f"kept/{job}"),
        "kv.sadd": c.KvSetAdd(key=f"members/{job}", member=label),
        "kv.srem": c.KvSetRemove(key=f"members/{job}", member="m"),
        "kv.put under its lock": c.KvPut(key="k", value=b"", lock=f"lock/{job}", token=1),
        "output": c.SetOutput(value=json.dumps(label).encode()),
        "progress": c.ReportProgress(ppm=1, note=label),
        "children": child,
        "a run": c.SubmitRun(run=new, name=label, jobs=(SPEC,)),
        "a part of a run": c.StageJobs(run=new, part=0, jobs=(SPEC,)),
        "commit": c.CommitEffects(effects=(put, c.SetOutput(value=b"1"), child)),
        "lock": c.AcquireLock(name=f"lock/{job}", claim=f"{label}-2", ttl_ms=9999, wait_ms=9999),
        "lock of its own": c.AcquireLock(name=f"own/{job}", claim=f"{label}-3", ttl_ms=99_999),
        "lock.renew": c.RenewLock(name=f"lock/{job}", claim=f"{label}-{job}", ttl_ms=9999),
        "lock.release": c.ReleaseLock(name=f"lock/{job}", claim=f"fresh-{job}"),
        "signal": c.SendSignal(run=run, job=job, name="go", payload=b'"stale"'),
        "signal.ack": c.AckSignal(seq=signal),
        "cancel": c.CancelJob(run=run, job=JobId(job)),
        "cancel of the run": c.CancelRun(run=run),
    }


class SimulatedWorker(Refusing):
    """One worker: keeps what it is told to run, and says that it lives."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.name = WorkerId(name)
        self.fleet = fleet
        self.orders: list[RunAttempt] = []
        self.confirmed: set[int] = set()
        self.connection: Connection | None = None

    async def register(self, masters: Iterable[str]) -> Registered:
        """At whichever master leads."""
        hello = Hello(role=ROLE_WORKER, id=self.name, incarnation=7)
        register = Register(
            worker=self.name,
            incarnation=7,
            name=self.name,
            capabilities=("GENERAL",),
            slots=1,
            resources={},
            holds=tuple(order.attempt for order in self.orders),
            epoch_seen=0,
            version="simulated",
        )
        while True:
            for address in masters:
                try:
                    self.connection = await dial(address, hello, self)
                    answer = await self.connection.call(register, timeout_s=10)
                except Exception:
                    await asyncio.sleep(0.05)
                    continue
                assert isinstance(answer, Registered)
                return answer

    def on_note(self, connection: Connection, message: Message) -> None:
        match message:
            case RunAttempt():
                self.orders.append(message)
                self.fleet.count += 1
            case Confirmed():
                self.confirmed.update(message.attempts)

    def tell(self, message: Message) -> None:
        if self.connection is not None and not self.connection.is_closed:
            self.connection.note(message)


class Fleet:
    """All workers of this process."""

    def __init__(self, masters: str, label: str, count: int) -> None:
        self.masters = masters.split(",")
        self.label = label
        self.count = 0  # attempts that were given to it
        self.workers = [SimulatedWorker(self, f"w-{label}-{n}") for n in range(count)]
        self.client = AsyncClient(self.masters)

    def tasks(self) -> list[tuple[SimulatedWorker, RunAttempt]]:
        return [(worker, order) for worker in self.workers for order in worker.orders]

    async def each(self, work: Callable[[RunAttempt], Awaitable[Any]]) -> list[Any]:
        """`work` for every task, many at once."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(order: RunAttempt) -> Any:
            async with room:
                return await work(order)

        return await asyncio.gather(*[one(order) for _, order in self.tasks()])

    async def register(self) -> dict[str, Any]:
        answers = []
        for start in range(0, len(self.workers), 50):
            part = self.workers[start : start + 50]
            answers += await asyncio.gather(*[worker.register(self.masters) for worker in part])
        return {"registered": len(answers), "live": sum(len(answer.live) for answer in answers)}

    async def beat(self) -> None:
        while True:
            for worker in self.workers:
                worker.tell(Heartbeat())
            await asyncio.sleep(1)

    async def assigned(self, count: str) -> dict[str, Any]:
        """Until it has been given so many attempts."""
        while self.count < int(count):
            await asyncio.sleep(0.01)
        return {"assigned": self.count}

    async def live(self) -> dict[str, Any]:
        """What the tasks of live attempts do: all of it is accepted."""

        async def one(order: RunAttempt) -> None:
            job = order.spec.id
            claim = f"{self.label}-{job}"
            acquire = c.AcquireLock(name=f"lock/{job}", claim=claim, ttl_ms=600_000)
            token, _ = await self.client._write(acquire, attempt=order.attempt)
            assert token, f"the lock of {job} is not free"
            put = c.KvPut(
                key=f"who/{job}", value=self.label.encode(), lock=f"lock/{job}", token=token
            )
            output = c.SetOutput(value=json.dumps(self.label).encode())
            batch = c.CommitEffects(effects=(put, output))
            await self.client._write(batch, attempt=order.attempt)

        return {"lived": len(await self.each(one))}

    async def attack(self, signals: str) -> dict[str, Any]:
        """Every task tries everything; how often each kind was answered how."""
        seqs: dict[str, int] = json.loads(signals)
        seen: dict[str, Counter[str]] = {}

        async def one(order: RunAttempt) -> None:
            job = order.spec.id
            for kind, command in effects(order.run, job, self.label, seqs[job]).items():
                try:
                    await self.client._write(command, attempt=order.attempt)
                    answer = "accepted"
                except Conflict as error:
                    answer = error.reason
                seen.setdefault(kind, Counter())[answer] += 1

        await self.each(one)
        return {"tried": seen}

    async def finish(self) -> dict[str, Any]:
        """Say that every task has ended well, until all of that is confirmed."""
        for worker, order in self.tasks():
            worker.tell(AttemptEnded(attempt=order.attempt, exit_code=0, output=b'"by file"'))
        while not all(order.attempt in worker.confirmed for worker, order in self.tasks()):
            await asyncio.sleep(0.01)
        return {"confirmed": len(self.tasks())}


async def main() -> None:
    fleet = Fleet(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    reader = asyncio.StreamReader(limit=2**20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    beating = asyncio.create_task(fleet.beat(), name="heartbeats")
    while line := (await reader.readline()).decode().split(maxsplit=1):
        order, *argument = line
        answer = await getattr(fleet, order)(*argument)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    beating.cancel()
    await asyncio.wait({beating})
    await fleet.client.close()


if __name__ == "__main__":
    asyncio.run(main())
