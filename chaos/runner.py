"""One run from the first process to the last check. `Settings` repeat it exactly, as far as real
processes can be repeated: the faults, their order and what clients do follow the seed; the timing is
the machine's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from chaos import inspection
from chaos.control import Cluster
from chaos.faults import disks
from chaos.faults.base import Fault, Need, World
from chaos.history import Recorder
from chaos.machine import MachineWatch
from chaos.monitor import Monitor
from chaos.nemesis import Nemesis
from chaos.network import namespaces
from chaos.network.base import Network
from chaos.network.proxy import Proxy
from chaos.scenarios import Scenario
from chaos.traffic.runs import executions
from chaos.traffic.users import start_users
from titan.errors import TitanError
from titan.sdk import AsyncClient

READY_TIMEOUT_S: Final = 40.0
TRAFFIC_END_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is made of."""

    scenario: str
    seed: int
    duration_s: float
    masters: int = 3
    workers: int = 2
    slots: int = 4
    network: str = "auto"  # auto | namespaces | proxy | plain
    rest_ms: float = 10.0  # what each client of the store rests between two operations

    @property
    def command(self) -> str:
        """How to repeat it."""
        return (
            f"python -m chaos run --scenario {self.scenario} --seed {self.seed} "
            f"--duration {self.duration_s:g} --masters {self.masters} --workers {self.workers} "
            f"--slots {self.slots} --network {self.network} --rest-ms {self.rest_ms:g}"
        )


async def run(settings: Settings, scenario: Scenario, *, out: Path) -> None:
    """Do it; the history is in `out` afterwards, whatever happened."""
    out.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(out / "history.jsonl")
    try:
        network = await _network(settings, scenario)
        cluster = Cluster(out / "cluster", network, workers=settings.workers, slots=settings.slots)
        world = World(
            cluster, Monitor(cluster, recorder), recorder, random.Random(f"{settings.seed}/world")
        )
        faults, skipped = await _possible(scenario, settings, network)
        recorder.event(
            "meta", **asdict(settings), network_used=network.name, skipped=skipped,
            command=settings.command, cpus=os.cpu_count(), python=sys.version.split()[0],
        )  # fmt: skip
        async with _standing(world, faults):
            await _use_and_hurt(world, settings, scenario, skipped)
    finally:
        recorder.close()


async def _network(settings: Settings, scenario: Scenario) -> Network:
    wanted = settings.network
    if wanted == "auto":
        cuts = any(Need.LINKS in fault.needs for fault in scenario.faults())
        wanted = "plain" if not cuts else "proxy" if await namespaces.why_not() else "namespaces"
    kinds = {"plain": Network, "proxy": Proxy, "namespaces": namespaces.Namespaces}
    return kinds[wanted](masters=settings.masters)


async def _possible(
    scenario: Scenario, settings: Settings, network: Network
) -> tuple[list[Fault], dict[str, str]]:
    """The faults that can be done here, and why the others cannot."""
    lacking = {}
    if not network.can_cut:
        lacking[Need.LINKS] = f"the network {network.name} cannot be cut"
    if os.geteuid() != 0:
        lacking[Need.TMPFS] = "mounting a small file system needs root"
    if settings.workers == 0:
        lacking[Need.WORKERS] = "there are no workers"
    if settings.masters < 3:
        lacking[Need.MAJORITY] = "a cluster of less than three masters bears no such fault"
    if settings.masters < 5:
        lacking[Need.FIVE] = "a cluster of less than five masters bears no such fault"
    faults, skipped = [], {}
    for fault in scenario.faults():
        reasons = [why for need, why in lacking.items() if need in fault.needs]
        if reasons:
            skipped[fault.name] = reasons[0]
        else:
            faults.append(fault)
    return faults, skipped


@contextlib.asynccontextmanager
async def _standing(world: World, faults: Sequence[Fault]) -> AsyncIterator[None]:
    """A cluster that runs inside the block; nothing of it is left afterwards."""
    cluster = world.cluster
    small_disk = cluster.masters[-1].data
    mounted = any(Need.TMPFS in fault.needs for fault in faults)
    try:
        await cluster.network.open()
        if mounted:
            await disks.mount(small_disk)
        cluster.start()
        yield
    finally:
        await cluster.stop()
        await cluster.network.close()
        if mounted:
            await disks.unmount(small_disk)


async def _use_and_hurt(
    world: World, settings: Settings, scenario: Scenario, skipped: dict[str, str]
) -> None:
    watch = MachineWatch(world.cluster.home, world.recorder)
    watching = [
        asyncio.create_task(world.monitor.run(), name="monitor"),
        asyncio.create_task(watch.run(), name="machine"),
    ]
    until = asyncio.Event()
    try:
        await _wait_ready(world, settings)
        world.recorder.event("phase", name="traffic")
        users = start_users(
            world,
            seed=settings.seed,
            rest_ms=settings.rest_ms,
            runs=settings.workers > 0,
            until=until,
        )
        lanes = _start_lanes(world, settings, scenario, skipped, until)
        await _watch_over([*watching, *users, *lanes], settings.duration_s)
        until.set()
        await asyncio.gather(*lanes)
        await _heal(world)
        await _end_traffic(users)
        world.recorder.event("phase", name="inspection")
        await inspection.wait_ended(world)
        world.recorder.event("final", runs=await inspection.final_views(world))
        await inspection.compare_replicas(world)
        for one in executions(world.cluster.records):
            world.recorder.event("exec", **one)
        _read_logs(world)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _watch_over(tasks: Sequence[asyncio.Task[None]], duration_s: float) -> None:
    """Wait; a part of the harness that breaks ends the run at once, loudly."""
    done, _ = await asyncio.wait(tasks, timeout=duration_s, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


async def _wait_ready(world: World, settings: Settings) -> None:
    async with asyncio.timeout(READY_TIMEOUT_S):
        await world.monitor.wait_whole(timeout_s=READY_TIMEOUT_S)
        client = AsyncClient(list(world.cluster.addresses))
        try:
            while True:
                states = [worker.state for worker in await client.list_workers()]
                if states.count("online") >= settings.workers:
                    return
                await asyncio.sleep(0.1)
        finally:
            await client.close()


def _start_lanes(
    world: World,
    settings: Settings,
    scenario: Scenario,
    skipped: dict[str, str],
    until: asyncio.Event,
) -> list[asyncio.Task[None]]:
    tasks = []
    possible = {fault.name: fault for fault in scenario.faults() if fault.name not in skipped}
    for n, lane in enumerate(scenario.lanes):
        faults = [possible[name] for name in lane if name in possible]
        if not faults:
            continue
        rng = random.Random(f"{settings.seed}/lane/{n}")
        own = World(world.cluster, world.monitor, world.recorder, rng)
        nemesis = Nemesis(own, faults, gap_s=scenario.gap_s)
        tasks.append(asyncio.create_task(nemesis.run(until), name=f"nemesis {n}"))
    return tasks


async def _heal(world: World) -> None:
    world.recorder.event("phase", name="healing")
    for member in world.cluster.members:
        await world.cluster.restart(member)
    if not await world.monitor.wait_whole(timeout_s=READY_TIMEOUT_S):
        what = f"the cluster was not whole {READY_TIMEOUT_S:.0f} s after the last fault"
        world.broken("recovery", what, str(world.monitor.seen))


async def _end_traffic(users: Sequence[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(users, timeout=TRAFFIC_END_S)
    for task in late:
        task.cancel()
    ended = await asyncio.gather(*users, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception) and not isinstance(result, TitanError):
            raise result


def _read_logs(world: World) -> None:
    """Tracebacks in the members' own logs: not promises broken, but never right."""
    for member in world.cluster.members:
        if not member.log.exists():
            continue
        lines = member.log.read_text(errors="replace").splitlines()
        starts = [n for n, line in enumerate(lines) if line.startswith("Traceback ")]
        if starts:
            shown = lines[max(0, starts[0] - 2) : starts[0] + 25]
            world.recorder.event("traceback", member=member.name, count=len(starts), log=shown)
