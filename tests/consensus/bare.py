"""pysyncobj as it is shipped, on the simulator's network: what happens without Titan's guard.

Has the shape of `sim.Cluster`, so that one story can be told of both. Transport and time are ours;
protocol, journal, dump, clients' callbacks and membership are the library's own. Its journal is
memory that survives a crash and its dump a real file: kinder to it than a real disk.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import pickle
import random
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pysyncobj.config import SyncObjConf
from pysyncobj.journal import MemoryJournal
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from tests.consensus import sim
from titan import limits
from titan.errors import NotLeader, UnknownOutcome

UNSENT_MAX = 10_000  # messages under way in the whole cluster

logging.getLogger("pysyncobj").disabled = True
for _name in ("syncobj", "serializer", "journal", "transport"):
    logging.getLogger(f"pysyncobj.{_name}").disabled = True


class Journal(MemoryJournal):  # type: ignore[misc]
    """The library's in-memory journal, kept over crashes, with the commit index of its file journal."""

    def __init__(self) -> None:
        super().__init__()
        self.commit_index = 1

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        self.commit_index = raftCommitIndex

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        return self.commit_index

    @property
    def first_index(self) -> int:
        return int(self[0][1])

    @property
    def last_index(self) -> int:
        return int(self[-1][1])


class _Wire(Transport):  # type: ignore[misc]
    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__(None, None, [])
        self._cluster, self._name = cluster, name

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        member = self._cluster.nodes[self._name].replica
        if member is None or member.wire is not self:
            return False
        self._cluster.net.send(self._name, node.id, message)
        return (self._name, node.id) in self._cluster.net.up


class _NoPoller:
    def poll(self, _timeout: float) -> None:
        pass


def _private_copy(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logging.getLogger(name).disabled = True
    return module


def keys_class(library: ModuleType) -> Any:
    """The usual way to use the library: a dictionary behind a replicated method."""

    class Keys(library.SyncObj):  # type: ignore[misc, name-defined]
        def __init__(
            self, name: str, others: list[str], conf: SyncObjConf, wire: _Wire, **more: Any
        ):
            super().__init__(
                Node(name), [Node(o) for o in others], conf, transport=wire, nodeClass=Node, **more
            )
            self._SyncObj__properies.add("history")
            self.history: list[tuple[int, bytes]] = []
            self.data: dict[str, str] = {}
            self.count = 0

        @library.replicated
        def put(self, payload: str) -> int:
            index = self._SyncObj__raftLastApplied + 1
            self.history.append((index, payload.encode()))
            key, _, value = payload.partition("=")
            self.data[key] = value
            return int(index)

        @library.replicated
        def incr(self) -> int:
            self.count += 1
            return self.count

        @library.replicated
        def boom(self, key: str) -> None:
            self.count += 1
            raise KeyError(key)

    return Keys


class Member:
    """One library object with the names that stories use of `Replica` and `Core`."""

    def __init__(self, so: Any, wire: _Wire, journal: Any) -> None:
        self.so, self.wire, self.log = so, wire, journal
        self.core = self
        self.counters: Counter[str] = Counter()

    is_leader = property(lambda self: bool(self.so._isLeader()))
    term = property(lambda self: int(self.so.raftCurrentTerm))
    commit_index = property(lambda self: int(self.so.raftCommitIndex))
    applied_index = property(lambda self: int(self.so.raftLastApplied))
    status = property(lambda self: (self.is_leader, self.term, self.commit_index, self.log[-1][1:]))

    @property
    def election_due(self) -> float:
        return float(self.so._SyncObj__raftElectionDeadline)

    @election_due.setter
    def election_due(self, due: float) -> None:
        self.so._SyncObj__raftElectionDeadline = due

    def match_index(self, peer: str) -> int:
        return int(self.so._SyncObj__raftMatchIndex.get(Node(peer), 0))

    def peer_up(self, peer: str) -> None:
        self.wire._onNodeConnected(Node(peer))

    def peer_down(self, peer: str) -> None:
        self.wire._onNodeDisconnected(Node(peer))

    def receive(self, peer: str, message: Any) -> None:
        self.wire._onMessageReceived(Node(peer), message)

    def request_compaction(self) -> None:
        self.so.forceLogCompaction()

    def begin_transfer(self, peer: str | None, _waiter: sim.Waiter) -> None:
        self.so.transferLeadership(peer)

    def abort_transfer(self) -> None:
        pass

    def read_index(self, _waiter: sim.Waiter) -> None:
        raise NotLeader("the library has no linearizable read")

    def propose(self, payload: bytes, waiter: sim.Waiter) -> None:
        def done(result: Any, error: int) -> None:
            if error == 0:
                waiter.set_result(result)
            else:
                waiter.set_exception(UnknownOutcome(str(error)))

        self.so.put(payload.decode(), callback=done)


class _State:
    """The replicated state of a member, alive or not, with the names of `sim.Machine`."""

    def __init__(self) -> None:
        self.so: Any = None

    data = property(lambda self: self.so.data)
    history = property(lambda self: self.so.history)
    digest = property(lambda self: repr(sorted(self.so.data.items())).encode())


class FloodError(Exception):
    """More is under way than any process could buffer: a loop in the library never ends."""


class Net(sim.Net):
    def enqueue(self, source: str, target: str, payload: Any) -> None:
        if len(self.queue) >= UNSENT_MAX:
            raise FloodError
        super().enqueue(source, target, payload)

    def send(self, source: str, target: str, payload: Any) -> None:
        link = (source, target)
        if link not in self.up:
            return
        payload = pickle.loads(pickle.dumps(payload))
        if self.tap is not None and (payload := self.tap(source, target, payload)) is None:
            return
        if link in self.blocked:
            return
        if link in self.held:
            self.held[link].append(payload)
        else:
            self.enqueue(source, target, payload)

    def inject(self, source: str, target: str, message: Any) -> None:
        self.enqueue(source, target, message)


class Cluster(sim.Cluster):
    """Members of the bare library; `conf` is given to `SyncObjConf`."""

    def __init__(
        self,
        names: str = "ABC",
        *,
        keys: Callable[[ModuleType], Any] | dict[str, Callable[[ModuleType], Any]] = keys_class,
        journals: dict[str, Any] | None = None,
        dumps: bool = True,
        seed: int = 1,
        conf: dict[str, Any] | None = None,
        rules: object = None,
        **sizes: Any,
    ) -> None:
        del rules  # there is nothing here that a rule could be taken from
        self.folder = Path(tempfile.mkdtemp(prefix="bare-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.dumps, self.conf = dumps, conf or {}
        self.errors: list[tuple[str, str]] = []  # exceptions out of ticks and handlers
        self.serializer = _private_copy("pysyncobj.serializer")
        self.library = _private_copy("pysyncobj.syncobj")
        self._starting = ""
        self.library.__dict__.update(
            monotonicTime=lambda: self.now,
            random=random.Random(seed),
            createPoller=lambda _kind: _NoPoller(),
            createJournal=lambda _path: self._journal(),
            Serializer=self.serializer.Serializer,
        )
        self.journals = journals if journals is not None else {}
        if callable(keys):
            made = keys(self.library)
            self.classes = dict.fromkeys(names, made)
        else:
            self.classes = {name: keys[name](self.library) for name in names}
        super().__init__(names, seed=seed, **sizes)

    def make_net(self) -> Net:
        return Net(self)

    def _journal(self) -> Any:
        made = self.journals.get(self._starting)
        if made is None:
            made = self.journals[self._starting] = Journal()
        return made() if callable(made) else made

    def dump_file(self, name: str) -> Path:
        return self.folder / name

    def _conf(self, name: str) -> SyncObjConf:
        rtt_s = self.rtt_budget_ms / 1000
        defaults: dict[str, Any] = {
            "autoTick": False, "commandsWaitLeader": False, "useFork": False,
            "raftMinTimeout": 10 * rtt_s, "raftMaxTimeout": 20 * rtt_s,
            "connectionTimeout": max(3.5, 20 * rtt_s), "logCompactionMinTime": 1e9,
            "logCompactionMinEntries": self.snapshot_entries,
            "appendEntriesBatchSizeBytes": limits.APPEND_BATCH_BYTES,
            "logCompactionBatchSize": limits.SNAPSHOT_CHUNK_BYTES,
            "fullDumpFile": str(self.dump_file(name)) if self.dumps else None,
        }  # fmt: skip
        return SyncObjConf(**{**defaults, **self.conf})

    def start(self, name: str) -> bool:
        node = self.nodes[name]
        node.life += 1
        node.inbox.clear()
        wire = _Wire(self, name)
        self._starting = name
        others = [each for each in self.names if each != name]
        so = self.classes[name](name, others, self._conf(name), wire)
        node.replica = Member(so, wire, so._SyncObj__raftLog)
        node.machine = _State()
        node.machine.so = so
        return True

    def _turn(self, node: Any) -> None:
        """The library's order: elections, commits and applies first, the sockets last."""
        try:
            node.live.so.doTick(0.0)
        except Exception as error:
            self.errors.append((node.name, repr(error)))
        inbox, node.inbox = node.inbox, []
        for source, message in inbox:
            try:
                node.live.receive(source, message)
            except Exception as error:
                self.errors.append((node.name, repr(error)))

    def so(self, name: str) -> Any:
        return self.nodes[name].live.so


@contextlib.contextmanager
def slow_fork(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Dumps by fork whose children, which outlive their parents, finish when the answer is called."""
    real = cluster.serializer.os
    children: list[Callable[[], None]] = []
    over = False
    serialize = cluster.serializer.Serializer.serialize

    class Os:
        def __getattr__(self, name: str) -> Any:
            fakes = {"fork": lambda: 4242, "waitpid": lambda *_: (4242 if over else 0, 0)}
            return fakes.get(name) or getattr(real, name)

    def watched(self: Any, data: Any, number: int) -> None:
        if self._Serializer__pid == 0 and self._Serializer__useFork:
            target, image = Path(self._Serializer__fileName), pickle.dumps(data)
            children.append(lambda: _write_dump(cluster, target, image))
        serialize(self, data, number)

    def finish() -> None:
        nonlocal over
        for child in children:
            child()
        over = True

    cluster.serializer.os = Os()  # type: ignore[attr-defined]
    cluster.serializer.Serializer.serialize = watched
    try:
        yield finish
    finally:
        cluster.serializer.os = real  # type: ignore[attr-defined]
        cluster.serializer.Serializer.serialize = serialize


def _write_dump(cluster: Cluster, target: Path, image: bytes) -> None:
    temporary = target.with_name(target.name + ".tmp")
    with cluster.serializer.gzip.open(temporary, "wb") as file:
        file.write(image)
    temporary.replace(target)
