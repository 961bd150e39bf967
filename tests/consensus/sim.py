"""A deterministic cluster in one thread: virtual time, seeded chance, links and disks that fail.

Runs the real `Replica`, round for round; only the clock, the dice, the disk, the link and the
background thread are ours. The same seed gives the same run only under a fixed PYTHONHASHSEED,
because the library iterates sets; `fuzz.py` re-executes itself for that.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgpack

from tests.consensus.freezing import Freezing
from tests.consensus.sim_disk import SimDisk
from titan import limits
from titan.consensus import codec
from titan.consensus.config import RaftConfig
from titan.consensus.replica import Replica
from titan.consensus.rules import ALL_RULES, Rule
from titan.errors import Fatal, TitanError

Message = dict[str, Any]


class Waiter:
    """A future without a loop."""

    def __init__(self) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, result: Any, /) -> None:
        assert not self._done
        self.result, self._done = result, True

    def set_exception(self, exception: BaseException, /) -> None:
        assert not self._done
        self.error, self._done = exception, True

    @property
    def is_ok(self) -> bool:
        return self._done and self.error is None


class Machine:
    """Keys and values, with a digest over everything that was ever applied."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.digest = bytes(32)
        self.history: list[tuple[int, bytes]] = []
        self.freezing: Freezing | None = None

    def apply(self, index: int, payload: bytes) -> Any:
        assert self.freezing is None or self.freezing.steps_left <= 0, "applied while freezing"
        self.history.append((index, payload))
        key, _, value = payload.decode().partition("=")
        self.data[key] = value
        self.digest = hashlib.sha256(self.digest + payload + index.to_bytes(8, "big")).digest()
        return index

    def freeze(self) -> Freezing:
        self.freezing = Freezing([msgpack.packb([dict(self.data), self.digest])], steps=3)
        return self.freezing

    def restore(self, blocks: Iterable[bytes]) -> None:
        self.data, self.digest = msgpack.unpackb(b"".join(blocks))
        self.freezing = None


class Node:
    """One member: its replica while it lives, its disk always."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.member_id = f"m-{name}"
        self.disk = SimDisk()
        self.replica: Replica | None = None
        self.machine = Machine()
        self.is_paused = False
        self.inbox: list[tuple[str, bytes]] = []
        self.life = 0
        self.needs_round = True

    def send(self, peer: str, payload: bytes) -> None:
        if self.replica is not None:
            self.cluster.net.send(self.name, peer, payload)

    def background(self, job: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        life = self.life

        def run() -> None:
            if self.life != life:
                return
            error: Exception | None = None
            try:
                job()
            except OSError as failure:
                error = failure
            done(error)
            self.needs_round = True

        self.cluster.later(self.cluster.snapshot_s, run)

    @property
    def live(self) -> Replica:
        assert self.replica is not None, f"{self.name} is down"
        return self.replica

    @property
    def is_leader(self) -> bool:
        return self.replica is not None and self.replica.core.is_leader

    @property
    def log(self) -> list[tuple[int, int]]:
        journal = self.live.core.log
        return [(e[1], e[2]) for e in journal[0 : len(journal)]]

    def propose(self, payload: str) -> Waiter:
        waiter = Waiter()
        try:
            self.live.propose(payload.encode(), waiter)
        except TitanError as error:
            waiter.set_exception(error)
        self.needs_round = True
        return waiter

    def read(self) -> Waiter:
        waiter = Waiter()
        try:
            self.live.read_index(waiter)
        except TitanError as error:
            waiter.set_exception(error)
        self.needs_round = True
        return waiter


class Net:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.latency_s = 0.001
        self.link_latency: dict[tuple[str, str], float] = {}
        self.link_message_s: dict[tuple[str, str], float] = {}
        self.up: set[tuple[str, str]] = set()
        self.blocked: set[tuple[str, str]] = set()
        self.held: dict[tuple[str, str], list[bytes]] = {}
        self.queue: list[tuple[float, int, str, str, bytes]] = []
        self.last: dict[tuple[str, str], float] = {}
        self.tap: Callable[[str, str, Message], Message | None] | None = None
        self.sent = 0

    def send(self, source: str, target: str, payload: bytes) -> None:
        link = (source, target)
        if link not in self.up:
            return
        if self.tap is not None:
            message = self.tap(source, target, codec.decode(payload))
            if message is None:
                return
            payload = codec.encode(message)
        if link in self.blocked:
            return
        if link in self.held:
            self.held[link].append(payload)
        else:
            self.enqueue(source, target, payload)

    def enqueue(self, source: str, target: str, payload: bytes) -> None:
        link = (source, target)
        at = self.cluster.now + self.link_latency.get(link, self.latency_s)
        at = max(at, self.last.get(link, 0.0)) + self.link_message_s.get(link, 0.0)
        self.last[link] = at
        self.sent += 1
        heapq.heappush(self.queue, (at, self.sent, source, target, payload))

    def inject(self, source: str, target: str, message: Message) -> None:
        """Deliver what nobody has sent now: an old message, or a repeated one."""
        self.enqueue(source, target, codec.encode(message))

    def hold(self, source: str, target: str) -> None:
        self.held.setdefault((source, target), [])

    def release(self, source: str, target: str, count: int | None = None) -> None:
        waiting = self.held.get((source, target), [])
        for payload in waiting[:count]:
            self.enqueue(source, target, payload)
        if count is None:
            self.held.pop((source, target), None)
        else:
            del waiting[:count]

    def connect(self, a: str, b: str) -> None:
        for source, target in ((a, b), (b, a)):
            self.blocked.discard((source, target))
            node, other = self.cluster.nodes[source], self.cluster.nodes[target]
            if node.replica and other.replica and (source, target) not in self.up:
                self.up.add((source, target))
                node.replica.peer_up(target)
                node.needs_round = True

    def disconnect(self, a: str, b: str) -> None:
        """Both ends notice; what was on the way is lost."""
        self.queue = [e for e in self.queue if {e[2], e[3]} != {a, b}]
        heapq.heapify(self.queue)
        for source, target in ((a, b), (b, a)):
            self.held.pop((source, target), None)
            if (source, target) in self.up:
                self.up.discard((source, target))
                node = self.cluster.nodes[source]
                if node.replica is not None:
                    node.replica.peer_down(target)
                    node.needs_round = True


class Cluster:
    def __init__(
        self,
        names: str = "ABC",
        *,
        seed: int = 1,
        rules: frozenset[Rule] = ALL_RULES,
        snapshot_entries: int = 1_000_000,
        keep_entries: int = 0,
        rtt_budget_ms: int = 50,
    ) -> None:
        self.now = 1000.0
        self.seed = seed
        self.rng = random.Random(seed)
        self.rules = rules
        self.snapshot_s = 0.05
        self.snapshot_entries, self.keep_entries = snapshot_entries, keep_entries
        self.rtt_budget_ms = rtt_budget_ms
        self.jobs: list[tuple[float, int, Callable[[], None]]] = []
        self.fatal: list[tuple[str, Fatal]] = []
        self.names = list(names)
        self.founders = tuple(names)
        self.nodes = {name: Node(self, name) for name in self.names}
        self.net = self.make_net()
        for name in self.names:
            self.start(name)
        self.heal()

    def make_net(self) -> Net:
        return Net(self)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # --- life ------------------------------------------------------------------------------

    def start(self, name: str) -> bool:
        node = self.nodes[name]
        node.life += 1
        node.machine = Machine()
        node.inbox.clear()
        replica = Replica(
            RaftConfig(
                address=name, members=self.founders if name in self.founders else (),
                data_dir=Path("/d"), member_id=node.member_id,
                rtt_budget_ms=self.rtt_budget_ms, snapshot_entries=self.snapshot_entries,
                keep_entries=self.keep_entries,
            ),
            machine=node.machine, link=node, disk=node.disk, background=node.background,
            clock=lambda: self.now, rng=random.Random(self.rng.random()), rules=self.rules,
        )  # fmt: skip
        try:
            replica.open()
        except Fatal as error:
            self.fatal.append((name, error))
            return False
        node.replica = replica
        node.needs_round = True
        return True

    def crash(self, name: str, *, power: bool = False) -> None:
        node = self.nodes[name]
        node.replica = None
        node.life += 1
        for other in self.names:
            if other != name:
                self.net.disconnect(name, other)
        if power:
            node.disk.power_cut(self.rng)

    def restart(self, name: str, links: Iterable[str] | None = None) -> bool:
        started = self.start(name)
        for other in self.names if links is None else links:
            if started and other != name and self.nodes[other].replica is not None:
                self.net.connect(name, other)
        return started

    def heal(self) -> None:
        self.net.blocked.clear()
        for a in self.names:
            for b in self.names:
                if a < b:
                    self.net.connect(a, b)

    # --- time ------------------------------------------------------------------------------

    def later(self, delay_s: float, job: Callable[[], None]) -> None:
        self.net.sent += 1
        heapq.heappush(self.jobs, (self.now + delay_s, self.net.sent, job))

    def run(
        self, seconds: float, *, until: Callable[[], bool] | None = None, step_s: float = 0.005
    ) -> bool:
        end = self.now + seconds
        while self.now < end:
            self.now += step_s
            self.step()
            if until is not None and until():
                return True
        return until is None

    def step(self) -> None:
        while self.jobs and self.jobs[0][0] <= self.now:
            heapq.heappop(self.jobs)[2]()
        self._deliver()
        for name in self.names:
            node = self.nodes[name]
            if node.replica is not None and not node.is_paused:
                self._turn(node)

    def _deliver(self) -> None:
        queue = self.net.queue
        while queue and queue[0][0] <= self.now:
            _, _, source, target, payload = heapq.heappop(queue)
            node = self.nodes[target]
            if node.replica is not None and (source, target) in self.net.up:
                node.inbox.append((source, payload))

    def _turn(self, node: Node) -> None:
        """What the driver does in one loop turn: due timers first, then messages, then a round."""
        try:
            if self.now - node.live.guard.elections.next_tick_due > node.live.config.election_min_s:
                self._round(node)
            inbox, node.inbox = node.inbox, []
            for source, payload in inbox:
                node.live.receive(source, payload)
            due = self.now >= node.live.next_due()
            if inbox or node.needs_round or due or node.live.wants_round:
                node.needs_round = False
                self._round(node)
        except Fatal as error:
            self.fatal.append((node.name, error))
            self.crash(node.name)

    def _round(self, node: Node) -> None:
        node.live.freeze_more()
        node.live.begin_round()
        node.live.finish_round()

    # --- members ---------------------------------------------------------------------------

    def join(self, name: str) -> None:
        """Start an empty member that waits to be added, under an identity of its own."""
        self.founders = tuple(each for each in self.founders if each != name)
        lives = self.nodes[name].life if name in self.nodes else 0
        if lives and self.nodes[name].replica is not None:
            self.crash(name)
        if name not in self.names:
            self.names.append(name)
        self.nodes[name] = Node(self, name)
        self.nodes[name].life = lives + 1
        self.nodes[name].member_id = f"m-{name}-{lives}"
        self.restart(name, links=[n for n in self.names if self.nodes[n].replica is not None])

    def add(self, name: str, *, by: str) -> Waiter:
        """Ask `by` to add the member that waits at `name`."""
        waiter = Waiter()
        try:
            self[by].live.add_member(name, member_id=self[name].member_id, waiter=waiter)
        except TitanError as error:
            waiter.set_exception(error)
        self[by].needs_round = True
        return waiter

    def remove(self, name: str, *, by: str) -> Waiter:
        """Ask `by` to remove the member at `name`."""
        waiter = Waiter()
        try:
            self[by].live.remove_member(name, member_id=self[name].member_id, waiter=waiter)
        except TitanError as error:
            waiter.set_exception(error)
        self[by].needs_round = True
        return waiter

    # --- asking ----------------------------------------------------------------------------

    def leader(self, among: str | None = None) -> str | None:
        found = [
            (node.live.core.term, name)
            for name, node in self.nodes.items()
            if node.is_leader and name in (among or self.names)
        ]
        return max(found)[1] if found else None

    def elect(self, name: str, *, seconds: float = 60) -> None:
        """Make `name` lead: by request to a leader that it reaches, else by its impatience alone."""
        end = self.now + seconds
        while self.now < end and not self.nodes[name].is_leader:
            leader = self.leader()
            if leader is not None and (leader, name) in self.net.up:
                self.nodes[leader].live.abort_transfer()
                self.nodes[leader].live.begin_transfer(name, Waiter())
                self.run(0.2)
                continue
            for other in self.names:
                replica = self.nodes[other].replica
                if replica is not None and not replica.core.is_leader:
                    replica.core.election_due = 0.0 if other == name else self.now + 5
            self.run(0.05)
        assert self.nodes[name].is_leader, f"{name} was not elected"
        self.run(0.1)

    def write(self, name: str, *payloads: str, seconds: float = 1.0) -> list[Waiter]:
        waiters = [self.nodes[name].propose(p) for p in payloads]
        self.run(seconds, until=lambda: all(w.done() for w in waiters))
        return waiters

    def converged(self) -> bool:
        live = [n for n in self.nodes.values() if n.replica is not None]
        return (
            len({n.live.core.applied_index for n in live}) == 1
            and len({n.machine.digest for n in live}) == 1
            and all(n.live.core.applied_index == n.live.core.log.last_index for n in live)
        )


def small_limits(monkeypatch: Any) -> None:
    """Sizes at which a few hundred entries fill segments, batches, windows and chunks."""
    for name, value in (
        ("SEGMENT_PREALLOCATE_BYTES", 4096), ("SEGMENT_BYTES", 16_384),
        ("APPEND_BATCH_BYTES", 600), ("PEER_WINDOW_BYTES", 6_000),
        ("SNAPSHOT_CHUNK_BYTES", 200), ("SNAPSHOT_BLOCK_BYTES", 256),
        ("DIGEST_EVERY_ENTRIES", 16),
    ):  # fmt: skip
        monkeypatch.setattr(limits, name, value)
