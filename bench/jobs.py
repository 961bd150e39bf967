"""Independent jobs and chains running `true` as processes: jobs per second, milliseconds per hop.

Three masters with durable commits and one worker with two slots, all on this machine, defaults only.
Run: python -m bench.jobs [--jobs 2000] [--chain 300] [--repeat 3]
"""

from __future__ import annotations

import argparse
import time

import uvloop

from bench.cluster import bench_cluster, describe_machine, spread
from titan.fsm.commands import StageJobs, SubmitRun, encode_command
from titan.ids import JobId, new_client_id, new_run_id
from titan.spec.model import JobSpec
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import Hello, WatchRun, Write, WriteDone

PART_JOBS = 1000


class Submitter:
    """A minimal client: one connection, writes in order."""

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._request = 0

    async def run(self, name: str, jobs: list[JobSpec]) -> float:
        """Submit the jobs as one run, wait for its end; seconds from the first byte to the push."""
        run = new_run_id()
        start = time.perf_counter()
        parts = [jobs[at : at + PART_JOBS] for at in range(0, len(jobs), PART_JOBS)]
        for n, part in enumerate(parts[:-1]):
            await self._write(StageJobs(run=run, part=n, jobs=tuple(part)))
        last = SubmitRun(run=run, name=name, jobs=tuple(parts[-1]), parts=len(parts) - 1)
        await self._write(last)
        watch = self._connection.open(WatchRun(run=run, jobs=False))
        async for _ in watch:
            pass
        await watch.result(None)
        return time.perf_counter() - start

    async def _write(self, command: StageJobs | SubmitRun) -> None:
        self._request += 1
        done = await self._connection.call(
            Write(
                client=self._session,
                request=self._request,
                floor=self._request,
                command=encode_command(command),
            ),
            timeout_s=60,
        )
        assert isinstance(done, WriteDone)
        assert not done.rejected, done


def independent(count: int) -> list[JobSpec]:
    """Jobs without parents."""
    return [JobSpec(id=JobId(f"j{n}"), argv=(b"true",)) for n in range(count)]


def chain(count: int) -> list[JobSpec]:
    """Each job after the one before."""
    return [
        JobSpec(id=JobId(f"j{n}"), argv=(b"true",), depends_on=(JobId(f"j{n - 1}"),) if n else ())
        for n in range(count)
    ]


async def main(*, jobs: int, hops: int, repeat: int) -> None:
    """Print a table."""
    print(describe_machine())
    async with bench_cluster(masters=3, workers=1, slots=2) as cluster:
        session = new_client_id()
        leader = await cluster.leader()
        connection = await dial(leader, Hello(role="client", id=session), Refusing())
        submitter = Submitter(connection, session)
        await submitter.run("warm-up", independent(20))
        rates = [jobs / await submitter.run("jobs", independent(jobs)) for _ in range(repeat)]
        ms = [await submitter.run("chain", chain(hops)) * 1e3 / hops for _ in range(repeat)]
        one = [await submitter.run("one", independent(1)) * 1e3 for _ in range(30)]
        connection.close()
    print(f"{jobs} independent jobs: {spread(rates, digits=0)} /s")
    print(f"chain of {hops}: {spread(ms, digits=2)} ms per hop")
    print(f"one job, submit → end pushed: {spread(one, digits=2)} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--chain", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    uvloop.run(main(jobs=options.jobs, hops=options.chain, repeat=options.repeat))
