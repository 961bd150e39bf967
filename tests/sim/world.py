"""One simulated cluster and everything around it, made from a seed."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import titan.consensus.raft
import titan.master.process
import titan.master.sessions
from tests.sim.children import Executions
from tests.sim.faults.plan import Faults
from tests.sim.hosts import PORT, ClientHost, Host, MasterHost, WorkerHost
from tests.sim.interpose import interpose
from tests.sim.ledger import Ledger, watched_member, watched_replica
from tests.sim.loop import Life, SimLoop
from tests.sim.network import Endpoint, Network
from tests.sim.tasks import Tasks
from tests.sim.trace import Trace
from tests.sim.witness import Witness
from tests.sim.workload import Workload
from titan.errors import TitanError
from titan.fsm.state import Attempt, State
from titan.master.dispatch import run_message
from titan.master.process import Master
from titan.sdk.aio import AsyncClient
from titan.wire.messages import RunAttempt

VIOLATIONS_MAX = 5  # then the run ends: the rest follows from the first
ADMIN_DEADLINE_S = 12.0  # it may begin with a master that has no disk any more


@dataclass(frozen=True, slots=True)
class Settings:
    """What is drawn from the seed before anything runs."""

    masters: int
    workers: int
    clients: int
    rtt_budget_ms: int
    snapshot_entries: int
    sync_s: float
    think_s: float
    fault_every_s: float
    deadline_s: float

    @classmethod
    def draw(cls, seed: int) -> Settings:
        rng = random.Random(f"settings {seed}")
        return cls(
            masters=5 if seed % 4 == 3 else 3,
            workers=rng.choice((2, 3)),
            clients=rng.choice((2, 3)),
            rtt_budget_ms=rng.choice((25, 40, 60)),
            snapshot_entries=rng.choice((20, 60, 200, 2000)),
            sync_s=rng.choice((0.0, 0.0005, 0.003)),
            think_s=rng.choice((0.02, 0.05, 0.15)),
            fault_every_s=rng.choice((0.4, 0.8, 2.0)),
            deadline_s=rng.choice((4.0, 8.0)),
        )


class World:
    """Made once per process: it replaces the process's clock for good."""

    def __init__(
        self,
        seed: int,
        *,
        folder: Path,
        sink: TextIO | None = None,
        faults: Collection[str] = (),
    ) -> None:
        self.seed, self.folder = seed, folder
        self.settings = Settings.draw(seed)
        self.trace = Trace(sink=sink)
        self.violations: list[str] = []
        self.drains = 0
        self.uploads: dict[str, int] = {}  # the committed time before each, in milliseconds
        self.happened_count: Counter[str] = Counter()
        self.guards: Counter[str] = Counter()  # of masters that have died
        self._voters: tuple[str, ...] = ()
        self.loop = SimLoop(on_error=self._on_error, rng=random.Random(f"sockets {seed}"))
        self.network = Network(
            self.loop, random.Random(f"network {seed}"), on_delivery=self._on_delivery
        )
        self.loop.network = self.network
        self.disk_rng = random.Random(f"disks {seed}")
        self.executions = Executions(random.Random(f"jobs {seed}"), self.note)
        interpose(self.loop, seed=seed, executions=self.executions)
        self.ledger = Ledger(violate=self.violate, note=self._note_bytes)
        self.witness = Witness(violate=self.violate, happened=self.happened)
        self.tasks = Tasks(self, random.Random(f"tasks {seed}"))
        self.workload = Workload(self, random.Random(f"clients {seed}"))
        self.faults = Faults(self, random.Random(f"faults {seed}"), only=faults)
        self._watch()
        self._make_hosts()

    def _make_hosts(self) -> None:
        settings = self.settings
        names = [f"m{number}" for number in range(1, settings.masters + 1)]
        self.addresses = tuple(f"{name}:{PORT}" for name in names)
        founders = [MasterHost(self, name, peers=self.addresses) for name in names]
        spare = MasterHost(self, f"m{settings.masters + 1}", peers=())
        self.all_masters = [*founders, spare]
        self._voters = tuple(names)
        for master in self.all_masters:
            master.disk.sync_s = settings.sync_s
        self.workers = [
            WorkerHost(self, f"w{number}", slots=number)
            for number in range(1, settings.workers + 1)
        ]
        self.doubles = [WorkerHost(self, "copy", slots=1)]
        self.clients = [ClientHost(self, f"c{number}") for number in range(1, settings.clients + 1)]
        self.hosts: list[Host] = [*self.all_masters, *self.workers, *self.doubles, *self.clients]
        self.admin = Life("admin", 1)
        self._asked: asyncio.Future[None] | None = None

    def _watch(self) -> None:
        """Let the ledger see what masters do."""
        world = self

        class WatchedMaster(Master):
            def __init__(self, *given: Any) -> None:
                super().__init__(*given)
                world.master_of(world.life()).master = self

        titan.master.process.Master = WatchedMaster  # type: ignore[misc]
        titan.master.process.Replica = watched_replica(  # type: ignore[misc]
            self.ledger, self.witness, self.life
        )
        titan.master.sessions.run_message = self._watched_order
        titan.consensus.raft.Replica = watched_member(  # type: ignore[misc]
            titan.consensus.raft.Replica, self.ledger, self.life
        )
        logging.disable(logging.NOTSET)
        handler = _ErrorsAreViolations(self)
        root = logging.getLogger()
        root.handlers = [handler]
        root.setLevel(logging.ERROR)

    def _watched_order(self, state: State, attempt: Attempt, *, epoch: int) -> RunAttempt:
        """What a master tells a worker to run, when the witness has seen it."""
        self.witness.dispatched(self.life().host, attempt.id, epoch=epoch, state=state)
        return run_message(state, attempt, epoch=epoch)

    # --- who is who ------------------------------------------------------------------------

    def life(self) -> Life:
        """Whose callback runs now."""
        life = self.loop.current
        assert life is not None
        return life

    def master_of(self, life: Life) -> MasterHost:
        return next(master for master in self.all_masters if master.name == life.host)

    @property
    def masters(self) -> list[MasterHost]:
        """Those that are in use: members, newcomers, and who does not know yet that it was removed."""
        return [master for master in self.all_masters if master.is_in_use]

    def committed_ms(self) -> int:
        """The time of the newest entry that any living master has applied."""
        living = [one.master for one in self.all_masters if one.master is not None]
        return max((master._replica.state.now_ms for master in living), default=0)

    def voters(self) -> list[MasterHost]:
        """Whose votes count, as the newest leader knows it."""
        leader = self.leader()
        if leader is not None and leader.master is not None:
            addresses = leader.master._raft._replica.members.voters
            self._voters = tuple(address.partition(":")[0] for address in addresses)
        return [master for master in self.all_masters if master.name in self._voters]

    def leader(self) -> MasterHost | None:
        """The leader of the highest term among the living."""
        found = [
            (core.term, master)
            for master in self.all_masters
            if (core := master.core) is not None and core.is_leader
        ]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    # --- what happens ----------------------------------------------------------------------

    def note(self, text: str) -> None:
        # The folder has another name each time, and errors name files in it.
        self.trace.note(self.loop.now, text.replace(str(self.folder), "…"))

    def _note_bytes(self, what: str, data: bytes) -> None:
        self.trace.bytes(self.loop.now, what, data)

    def _on_delivery(self, target: Endpoint, kind: str, data: bytes) -> None:
        self.trace.bytes(self.loop.now, f"{target.remote} {target.local} {kind}", data)

    def violate(self, text: str, error: BaseException | None = None) -> None:
        """Something that must never happen has happened."""
        where = "" if error is None else "\n" + "".join(traceback.format_exception(error))[-3000:]
        self.note(f"VIOLATION {text}")
        self.violations.append(f"at {self.loop.now:.3f} s: {text}{where}")

    def _on_error(self, life: Life | None, context: dict[str, Any]) -> None:
        error = context.get("exception")
        message = f"{context.get('message')} {context.get('task') or context.get('handle') or ''}"
        if life is not None and self._is_excused(life):
            return
        self.violate(f"unhandled in {life}: {message}: {error!r}", error)

    def _is_excused(self, life: Life) -> bool:
        return any(master.name == life.host and master.fails_disk for master in self.masters)

    def on_log(self, record: logging.LogRecord) -> None:
        """The product logged an error: nothing that is injected here deserves one, but disks."""
        life = self.loop.current
        if life is not None and (self._is_excused(life) or not life.is_alive):
            return
        error = record.exc_info[1] if record.exc_info else None
        if record.levelno >= logging.CRITICAL and "this master stops" in record.getMessage():
            return
        self.violate(f"{life} logs an error: {record.name}: {record.getMessage()}", error)

    def happened(self, what: str) -> None:
        """Something that is only tested if it happens at all; see `sometimes.py`."""
        self.happened_count[what] += 1

    def counters(self) -> tuple[dict[str, int], dict[str, int]]:
        """How often each protection of consensus was needed, and what happened to disks and members."""
        guards, happened = Counter(self.guards), Counter(self.happened_count)
        for master in self.all_masters:
            happened.update(master.disk.happened)
            if master.master is not None:
                guards.update(master.master._raft.counters)
                if master.damaged and master.has_served:
                    happened[f"started right with a damaged {master.damaged}"] += 1
        happened["segments of a connection given up"] += self.network.overtaken
        return _positive(guards), _positive(happened)

    # --- administration --------------------------------------------------------------------

    def as_admin(self, work: Callable[[AsyncClient], Any]) -> None:
        """Let somebody who is never killed ask the cluster for something."""

        before, self._asked = self._asked, self.loop.create_future()
        after = self._asked

        async def ask() -> None:
            if before is not None:
                await before  # in order: a late "drain" must not follow an "open"
            client = AsyncClient(self.addresses, deadline_s=ADMIN_DEADLINE_S)
            with suppress(TitanError):
                await work(client)
            await client.close()
            after.set_result(None)

        self.loop.spawn(self.admin, ask(), name="admin")

    def set_mode(self, worker: WorkerHost, mode: str) -> None:
        """Open, cordon or drain a worker."""
        path = worker.folder / "worker-id"
        if path.exists():
            ident = path.read_text().strip()
            self.drains += mode == "draining"
            self.as_admin(lambda client: client.set_worker_mode(ident, mode))

    def start(self) -> None:
        """Boot everything and plan the faults."""
        for host in self.hosts:
            if host not in self.doubles:
                host.start()
        if self.seed % 3 == 0:
            self._seclude(self.clients[0])
        self.faults.plan()

    def _seclude(self, client: ClientHost) -> None:
        """One client reaches one master alone: what it asks is forwarded, also past an old leader."""
        for master in self.all_masters[1:]:
            self.network.block(client.name, master.name)
            self.network.block(master.name, client.name)

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; stop early when `until` holds or too much is wrong."""
        end_s = self.loop.now + seconds
        while self.loop.now < end_s and len(self.violations) < VIOLATIONS_MAX:
            self.loop.run(min(end_s, self.loop.now + 0.25))
            if until is not None and until():
                return True
        return until is None


def _positive(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if count}


class _ErrorsAreViolations(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.on_log(record)
