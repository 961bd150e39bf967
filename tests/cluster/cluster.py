"""Clusters of real processes for tests: started by the command line, killed by signals.

A kill asserts that the process died. Waiting is for a condition, and says what it last saw when it
gives up. Whatever happens, nothing is left running.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from titan.cli.local import LocalCluster, Member, quiet_ports
from titan.fsm.queries import JobView, RunView, WorkerView
from titan.sdk import AsyncClient

Look = Callable[[], Awaitable[Any]]


class Cluster:
    """Masters and workers as processes, with a client."""

    def __init__(self, data: Path, *, masters: int, workers: int, slots: int) -> None:
        self.data = data
        self.processes = LocalCluster(
            data, masters=masters, workers=workers, slots=slots, ports=quiet_ports(masters)
        )
        self.client = AsyncClient(masters=self.addresses)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all masters."""
        return self.processes.addresses

    @property
    def masters(self) -> list[Member]:
        return self.processes.masters

    @property
    def workers(self) -> list[Member]:
        return self.processes.workers

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everyone and wait until a leader serves and all workers are there."""
        self.processes.start()
        await self.wait_ready()

    async def wait_ready(self, *, timeout_s: float = 20) -> None:
        async def look() -> Any:
            dead = [member.name for member in self.processes.dead()]
            assert not dead, f"{dead} ended while starting"
            return [worker.state for worker in await self.list_workers()]

        await self.wait_until(
            look, lambda states: states.count("online") == len(self.workers), timeout_s=timeout_s
        )

    async def stop(self) -> None:
        """End everything, by force where it must be; leaves no process."""
        await self.client.close()
        for member in self.processes.members:
            if member.is_alive:
                member.send(signal.SIGCONT)
        await asyncio.to_thread(self.processes.stop)
        assert not any(member.is_alive for member in self.processes.members)

    # --- faults -------------------------------------------------------------------------------

    async def leader(self, *, unlike: str = "", timeout_s: float = 15) -> Member:
        """The master that leads now, as a master sees it that knows another leader than `unlike`."""
        info = await self.wait_until(
            self.client.cluster_info,
            lambda info: info.leader not in ("", unlike),
            timeout_s=timeout_s,
        )
        return next(member for member in self.masters if member.address == info.leader)

    async def kill_leader(self) -> Member:
        """SIGKILL to the leader."""
        return kill(await self.leader())

    async def kill_worker(self, index: int = 0) -> Member:
        """SIGKILL to a worker."""
        return kill(self.workers[index])

    def kill_all_masters(self) -> None:
        """SIGKILL to every master at once."""
        for member in self.masters:
            member.send(signal.SIGKILL)
        for member in self.masters:
            kill(member)

    def pause(self, member: Member) -> None:
        """SIGSTOP: alive, silent."""
        assert member.is_alive
        member.send(signal.SIGSTOP)

    def resume(self, member: Member) -> None:
        """The end of a pause."""
        member.send(signal.SIGCONT)

    # --- looking ------------------------------------------------------------------------------

    async def run_view(self, run: str) -> RunView:
        return await self.client.get_run(run)

    async def jobs(self, run: str) -> dict[str, JobView]:
        """The jobs of a run by id."""
        return {str(job.id): job for job in await self.client.list_jobs(run)}

    async def list_workers(self) -> list[WorkerView]:
        return await self.client.list_workers()

    async def wait_over(self, run: str, *, timeout_s: float) -> RunView:
        """Until every job of the run has ended."""
        view: RunView = await self.wait_until(
            lambda: self.run_view(run), lambda view: view.over, timeout_s=timeout_s
        )
        return view

    async def wait_until(
        self, look: Look, is_enough: Callable[[Any], bool], *, timeout_s: float
    ) -> Any:
        """What `look` returned once `is_enough` of it; errors of a look count as not enough."""
        return await wait_until(look, is_enough, timeout_s=timeout_s)

    def show_logs(self) -> None:
        """The ends of all logs, for the report of a failed test."""
        for member in self.processes.members:
            state = "alive" if member.is_alive else f"ended {member.exit_code}"
            sys.stderr.write(f"--- {member.name} ({state})\n{member.last_words(lines=40)}\n")


def kill(member: Member) -> Member:
    """SIGKILL; asserts that the process is gone."""
    member.kill()
    assert not member.is_alive
    assert member.exit_code == -signal.SIGKILL, member.exit_code
    return member


@asynccontextmanager
async def running(
    made: Cluster, *, has_failed: Callable[[], bool] = lambda: False
) -> AsyncIterator[Cluster]:
    """The cluster, ready; its logs are shown when it fails, or when its test `has_failed`."""
    try:
        await made.start()
        yield made
    except AssertionError:
        made.show_logs()
        raise
    finally:
        if has_failed():
            made.show_logs()
        await made.stop()


async def wait_until(look: Look, is_enough: Callable[[Any], bool], *, timeout_s: float) -> Any:
    """Look again and again until it is enough; `AssertionError` with the last observation otherwise."""
    deadline = time.monotonic() + timeout_s
    last: object = "nothing yet"
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                last = await look()
            if is_enough(last):
                return last
        except AssertionError:
            raise
        except Exception as error:
            last = error
        await asyncio.sleep(0.02)
    raise AssertionError(f"not so after {timeout_s} s; last seen: {last!r}")


async def titan(
    *arguments: str,
    timeout_s: float = 30,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[int, str, str]:
    """Run one `titan` command as a process; its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "titan.cli.main",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(
            f"titan {arguments} still ran after {timeout_s} s\n{out.decode()}\n{err.decode()}"
        ) from None
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
