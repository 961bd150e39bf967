"""The whole of Titan in half a minute: `make demo`.

Starts three masters and two workers as processes on loopback, submits `pipeline.yaml`, kills the leader
with SIGKILL in the middle, shows who took over and that no running job was started again, and checks
the result against a count of the same files in one process. Exits with 0 only if both are equal and
nothing was started twice. Every process is gone at the end; so is the data.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import words
from rich.console import Console
from rich.table import Table

from titan.cli.ask import worker_names
from titan.cli.local import LocalCluster, Member, quiet_ports
from titan.cli.output import console as make_console
from titan.cli.output import styled
from titan.cli.progress import Progress, progress
from titan.cli.up import wait_ready
from titan.fsm.queries import JobView
from titan.ids import JobId
from titan.sdk import AsyncClient

PIPELINE = Path(__file__).with_name("pipeline.yaml")
KILL_WHEN_OVER = 4  # jobs: the first mappers have ended, the next ones are in the middle of it
INTO_THE_WORK_S = 1.0  # so that nobody can say they had hardly begun
RUN_TIMEOUT_S = 120


class Demo:
    """One showing: a cluster, a run, a kill."""

    def __init__(self, cluster: LocalCluster, client: AsyncClient, console: Console) -> None:
        self.cluster = cluster
        self.client = client
        self.console = console
        self.run = ""
        self.gap_s = 0.0  # from the kill to the next accepted write

    async def play(self) -> bool:
        """Whether everything was as promised."""
        await self._open()
        handle = await self.client.submit_yaml(PIPELINE)
        self.run = str(handle)
        self._title("a map-reduce of 14 jobs")
        with progress(self.console, names=await worker_names(self.client)) as shown:
            shown.say(f"run [bold]{self.run}[/]")
            async with asyncio.timeout(RUN_TIMEOUT_S), asyncio.TaskGroup() as group:
                midway = asyncio.Event()
                group.create_task(self._show(shown, midway), name="show")
                kill = group.create_task(self._kill_leader(shown, midway), name="kill")
        before = kill.result()
        return await self._close(before)

    def _title(self, text: str) -> None:
        self.console.print(f"[bold blue]── {text}[/]")

    async def _open(self) -> None:
        self._title("three masters, two workers, one machine")
        started = time.monotonic()
        self.cluster.start()
        await wait_ready(self.cluster, stop=asyncio.Event())
        leader = await self._leader()
        for member in self.cluster.masters:
            role = styled("leader" if member is leader else "follower")
            self.console.print(
                f"  {member.name}  pid {member.pid:<7} {member.address}  "
                f"http://{member.http}  {role}"
            )
        for member in self.cluster.workers:
            self.console.print(f"  {member.name}  pid {member.pid:<7} two slots")
        self.console.print(f"  ready after {time.monotonic() - started:.1f} s, data on disk\n")

    async def _show(self, shown: Progress, midway: asyncio.Event) -> None:
        async for change in self.client.watch_run(self.run):
            shown.update(change.run, change.jobs)
            running = change.run.jobs.get("RUNNING", 0)
            if change.run.jobs.get("COMPLETED", 0) >= KILL_WHEN_OVER and running >= 2:
                midway.set()
        midway.set()  # too late to be of use, but nobody waits for ever

    async def _kill_leader(self, shown: Progress, midway: asyncio.Event) -> dict[JobId, JobView]:
        """Kill it while jobs run; the running jobs just before."""
        await midway.wait()
        await asyncio.sleep(INTO_THE_WORK_S)
        leader = await self._leader()
        before = {job.id: job for job in await self.client.list_jobs(self.run) if job.live}
        killed_at = time.monotonic()
        leader.kill()
        assert not leader.is_alive
        assert leader.exit_code == -signal.SIGKILL
        shown.say(
            f"[bold red]kill -9[/] {leader.name}, the leader (pid {leader.pid}), "
            f"while {len(before)} jobs run: {', '.join(before)}"
        )
        await self.client.store_put("demo/alive", "yes")
        self.gap_s = time.monotonic() - killed_at
        new = await self._leader()
        assert new is not leader
        shown.say(
            f"[bold green]{new.name}[/] leads now; "
            f"the first write was accepted {self.gap_s * 1000:.0f} ms after the kill"
        )
        return before

    async def _leader(self) -> Member:
        while True:
            info = await self.client.cluster_info()
            for member in self.cluster.masters:
                if member.address == info.leader and member.is_alive:
                    return member
            await asyncio.sleep(0.02)

    async def _close(self, before: dict[JobId, JobView]) -> bool:
        view = await self.client.get_run(self.run)
        after = {job.id: job for job in await self.client.list_jobs(self.run)}
        took_s = (view.ended_ms - view.created_ms) / 1000
        self.console.print(f"  run {styled(view.state)} after {took_s:.1f} s\n")
        is_untouched = self._compare_attempts(before, after)
        is_equal = await self._compare_results()
        return view.state == "COMPLETED" and is_untouched and is_equal

    def _compare_attempts(self, before: dict[JobId, JobView], after: dict[JobId, JobView]) -> bool:
        self._title("jobs that ran while the leader died")
        table = Table(box=None, padding=(0, 3, 0, 0))
        for column in ("  job", "attempt then", "attempt at the end", "started", "state"):
            table.add_column(column)
        for job, then in before.items():
            last = after[job].history[-1]
            table.add_row(
                f"  {job}",
                f"#{then.live}",
                f"#{last.attempt}",
                "once" if after[job].attempts == 1 else f"{after[job].attempts} times",
                styled(after[job].state),
            )
        self.console.print(table)
        restarted = [job.id for job in after.values() if job.attempts != 1]
        same = all(after[job].history[-1].attempt == view.live for job, view in before.items())
        self.console.print(
            f"  [bold red]started more than once: {', '.join(restarted)}[/]\n"
            if restarted
            else f"  [green]all {len(after)} jobs were started exactly once[/]\n"
        )
        return bool(before) and same and not restarted

    async def _compare_results(self) -> bool:
        self._title("the result")
        stored = await self.client.store_get(words.key(self.run, "result"))
        counted = json.loads(str(stored)) if stored is not None else None
        names = words.source_files()
        expected = json.loads(json.dumps(words.summary(words.count_files(names))))
        for word, count in expected["top"][:5]:
            self.console.print(f"  {count:>8}  {word}")
        self.console.print(
            f"  {expected['words']} words in {len(names)} files, {expected['distinct']} distinct"
        )
        if counted == expected:
            self.console.print(
                "  [bold green]equal[/] to a count in one process, word by word: "
                f"sha256 {expected['sha256'][:16]}…"
            )
            return True
        self.console.print(f"  [bold red]different[/]: the cluster counted {counted}")
        return False


async def main(console: Console, data: Path) -> bool:
    """Play in a fresh cluster, and leave nothing of it."""
    cluster = LocalCluster(data, masters=3, workers=2, slots=2, ports=quiet_ports(3))
    client = AsyncClient(cluster.addresses)
    try:
        return await Demo(cluster, client, console).play()
    finally:
        await client.close()
        await asyncio.to_thread(cluster.stop)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = make_console()
    folder = Path(tempfile.mkdtemp(prefix="titan-demo-"))
    try:
        is_good = asyncio.run(main(screen, folder))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    screen.print(
        "\n[bold green]demo passed[/]" if is_good else "\n[bold red]demo failed[/]",
        "(all processes stopped)",
    )
    sys.exit(0 if is_good else 1)
