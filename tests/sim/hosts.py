"""The machines of a simulated cluster: what runs on each, how it is started, and how it dies."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tests.sim.disk import HostDisk
from tests.sim.loop import Life, ProcessGone
from titan.consensus.library import Core
from titan.consensus.membership import Removed
from titan.errors import Conflict, Fatal
from titan.exec.config import WorkerConfig
from titan.exec.worker import Worker
from titan.master.config import MasterConfig
from titan.master.process import Master, run_master
from titan.master.surroundings import Surroundings
from titan.sdk.aio import AsyncClient

if TYPE_CHECKING:
    from tests.sim.world import World

PORT = 9090


class Host:
    """A machine that runs one process at a time."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.life: Life | None = None
        self.lives = 0
        self.wall_offset_s = 0.0
        self.folder = world.folder / name
        self.folder.mkdir()

    @property
    def is_up(self) -> bool:
        return self.life is not None

    def start(self) -> None:
        """Boot if need be, and start the process."""
        if self.life is not None:
            return
        self.lives += 1
        self.world.network.dark.discard(self.name)
        self.life = Life(self.name, self.lives)
        self.life.wall_offset_s = self.wall_offset_s
        self.world.note(f"{self.life} starts")
        self.world.loop.spawn(self.life, self._live(self.life), name=f"main of {self.life}")

    def stop(self, why: str, *, power: bool = False, is_clean: bool = False) -> None:
        """Kill the process; with `power`, the machine. `is_clean`: it has left by itself."""
        life = self.life
        if life is None:
            return
        self.world.note(f"{life} dies: {why}")
        self.life = None
        self.world.loop.kill(life)
        self.world.network.life_ended(life, power=power)
        if power:
            self.world.network.dark.add(self.name)
        self.died(power=power, is_clean=is_clean)
        self.world.faults.restart_later(self)

    def died(self, *, power: bool, is_clean: bool) -> None:
        """Clean up what the kernel would."""

    def pause(self) -> None:
        if self.life is not None:
            self.life.is_paused = True

    def resume(self) -> None:
        if self.life is not None and self.life.is_paused:
            self.life.is_paused = False
            self.world.loop.wake(self.life)

    @property
    def is_paused(self) -> bool:
        return self.life is not None and self.life.is_paused

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self.wall_offset_s += seconds
        if self.life is not None:
            self.life.wall_offset_s = self.wall_offset_s

    async def _live(self, life: Life) -> None:
        try:
            await self.main()
        except (Exception, asyncio.CancelledError) as error:
            self.world.loop.later(0.0, self._ended, life, error)
        else:
            self.world.loop.later(0.0, self._ended, life, None)

    def _ended(self, life: Life, error: BaseException | None) -> None:
        if self.life is not life:
            return
        if not self.may_end(error):
            self.world.violate(f"{life} ended by itself: {type(error).__name__}: {error}", error)
        self.stop(f"it ended: {error!r}", is_clean=True)

    def main(self) -> Coroutine[Any, Any, None]:
        raise NotImplementedError

    def may_end(self, error: BaseException | None) -> bool:
        return False


class MasterHost(Host):
    """A machine with a disk and a master on it.

    `damaged`: a bit of this kind of file has flipped. `refused`: the reason why the master does not
    start with it; it stays down until somebody repairs it.
    """

    def __init__(self, world: World, name: str, *, peers: tuple[str, ...]) -> None:
        super().__init__(world, name)
        self.address = f"{name}:{PORT}"
        self.peers = peers
        self.rng = random.Random(f"master {name} {world.seed}")
        self.disk = HostDisk(world.loop, world.disk_rng, self._crashed_in_disk)
        self.master: Master | None = None
        self.fails_disk = False  # an injected error explains its end
        self.crash_with_power = False
        self.is_in_use = bool(peers)
        self.joins = False  # started with --join
        self.may_be_removed = False
        self.is_amnesiac = False  # its disk was lost, and it is still a member
        self.is_held = False  # the operator does not want it to run now
        self.damaged = self.refused = ""
        self._stop = asyncio.Event()

    def main(self) -> Coroutine[Any, Any, None]:
        self.disk.started(self.life)
        self._stop = asyncio.Event()
        surroundings = Surroundings(
            disk=self.disk,
            clock=self.world.loop.time,
            rng=random.Random(self.rng.random()),
            on_fatal=self._fatal,
        )
        return run_master(self._config(), stop=self._stop, surroundings=surroundings)

    def _config(self) -> MasterConfig:
        settings = self.world.settings
        others = (each.address for each in self.world.masters if each is not self)
        return MasterConfig(
            data_dir=self.folder,
            listen=self.address,
            http="",
            peers=() if self.joins else self.peers,
            join=tuple(others) if self.joins else (),
            insecure=True,
            rtt_budget_ms=settings.rtt_budget_ms,
            snapshot_entries=settings.snapshot_entries,
        )

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self.life is not None:
            self.life.context.run(self.world.loop.call_soon, self._stop.set)

    def wipe(self) -> None:
        """Its disk is another one, with nothing on it."""
        assert not self.is_up, f"{self.name} runs"
        self.disk.wipe()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.damaged = self.refused = ""

    def _fatal(self, reason: Fatal) -> None:
        life = self.life
        if life is not None and self.world.loop.current is life:
            if not self.may_end(reason):
                cause = reason.__cause__
                self.world.violate(f"{life} stops itself: {reason}", cause or reason)
            self.stop(f"fatal: {reason}")
        raise ProcessGone

    def _crashed_in_disk(self) -> None:
        self.stop("killed in the middle of a disk operation", power=self.crash_with_power)

    def may_end(self, error: BaseException | None) -> bool:
        if error is None:
            return self._stop.is_set()
        if isinstance(error, Removed):
            self.world.happened("removed master left")
            self.is_in_use = False
            return self.may_be_removed
        if isinstance(error, Conflict) and error.reason == "member_exists":
            return self.joins and self.is_amnesiac
        if self.damaged and isinstance(error, Fatal) and not self.has_served:
            self.refused = str(error)
            return True
        return self.fails_disk and isinstance(error, Fatal | OSError)

    @property
    def core(self) -> Core | None:
        """Its consensus, once it has read its log."""
        return None if self.master is None else getattr(self.master._raft._replica, "core", None)

    @property
    def has_served(self) -> bool:
        """Whether this life has read its disk back and let anybody in."""
        return self.master is not None and self.master._is_open

    def died(self, *, power: bool, is_clean: bool) -> None:
        if self.master is not None:
            self.world.guards.update(self.master._raft.counters)
        if self.damaged and self.has_served:
            self.world.happened(f"started right with a damaged {self.damaged}")
            self.damaged = ""
        self.master = None
        self.disk.life = None
        self.disk.disarm()
        if power:
            self.disk.power_cut(self.world.disk_rng)

    def start(self) -> None:
        if self.is_in_use and not self.refused and not self.is_held:
            self.fails_disk = self.disk.fails or self.disk.is_full
            super().start()


class WorkerHost(Host):
    """A machine with a worker on it."""

    def __init__(self, world: World, name: str, *, slots: int) -> None:
        super().__init__(world, name)
        self.slots = slots
        self.worker: Worker | None = None
        self.is_double = False  # it runs with the identity of another worker
        self.was_doubled = False

    def main(self) -> Coroutine[Any, Any, None]:
        self.worker = Worker(
            WorkerConfig(
                masters=self.world.addresses,
                data_dir=self.folder,
                slots=self.slots,
                name=self.name,
                python="/usr/bin/python3",
                kill_grace_ms=500,
            )
        )
        return self.worker.run()

    def become_double_of(self, other: WorkerHost) -> None:
        """Copy the identity of another worker, as people do who copy a data directory."""
        shutil.copy(other.folder / "worker-id", self.folder / "worker-id")
        self.is_double = other.was_doubled = True

    def may_end(self, error: BaseException | None) -> bool:
        if self.is_double or self.was_doubled:
            return error is None or isinstance(error, Fatal)
        return error is None and self.world.drains > 0  # it was told to leave

    def died(self, *, power: bool, is_clean: bool) -> None:
        worker, self.worker = self.worker, None
        if not is_clean:
            for name in ("_outbox", "_data"):  # the kernel closes files and gives up locks
                opened = getattr(worker, name, None)
                if opened is not None:
                    opened.close()
        outbox = self.folder / "outbox"
        if power and outbox.exists():  # nobody syncs it: any part of it may be there
            os.truncate(outbox, self.world.disk_rng.randrange(outbox.stat().st_size + 1))


class ClientHost(Host):
    """A machine with one client on it."""

    async def main(self) -> None:
        client = AsyncClient(self.world.addresses, deadline_s=self.world.settings.deadline_s)
        await self.world.workload.live(self, client)

    def may_end(self, error: BaseException | None) -> bool:
        return error is None
