"""One master, assembled: what is opened, in which order, and how it is taken down again.

Everything is owned by one `AsyncExitStack`, so that whatever was opened is closed in reverse order,
also when a later step fails. The side tasks are watched: one that dies takes the process with it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from titan.consensus.config import RaftConfig
from titan.consensus.identity import Bindings
from titan.consensus.raft import RaftNode
from titan.consensus.transport import PeerTransport
from titan.errors import AccessDenied, Unavailable, UserError
from titan.fsm import commands
from titan.fsm.events import AnyEvent, EpochOpened, StateReplaced
from titan.ids import new_incarnation
from titan.master.blob_ledger import BlobLedger
from titan.master.blob_store import BlobStore
from titan.master.blobs import BlobKeeper
from titan.master.clock import LeaderClock
from titan.master.config import MasterConfig
from titan.master.garbage import keep_garbage_small
from titan.master.gateway import ClientHandler, Gateway
from titan.master.http.api import Api
from titan.master.http.operations import Operations
from titan.master.http.server import Http
from titan.master.identity import load_identity, save_identity
from titan.master.kept_logs import KeptLogs, LogPacker
from titan.master.lag import LagMeter
from titan.master.logs import LogReader
from titan.master.members import Joining, Members, hand_over
from titan.master.order_notes import OrderNotes
from titan.master.peers import Peers, hello_of_master
from titan.master.proposer import Proposer
from titan.master.providers.local import LocalProvider, end_launched, launched_home
from titan.master.providers.strays import Strays
from titan.master.providers.webhook import WebhookProvider
from titan.master.pulse import Pulse
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.master.routes import Routes
from titan.master.sessions import Session
from titan.master.surroundings import Surroundings
from titan.master.timetable import Timetable
from titan.master.versions import Versions
from titan.master.watches import Watches
from titan.wire.connection import Connection
from titan.wire.endpoint import listen
from titan.wire.handler import Handler
from titan.wire.messages import (
    ROLE_CLIENT,
    ROLE_MASTER,
    ROLE_PEER,
    ROLE_WORKER,
    BlobStored,
    Hello,
    MasterInfo,
    Message,
    Welcome,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
CURRENT_MS: Final = 1000  # since a leader was last heard
LEAVE_TIMEOUT_S: Final = 1.0  # for handing over; a supervisor's patience is longer


class Master:
    """The parts of one master and how they meet."""

    def __init__(self, config: MasterConfig, surroundings: Surroundings | None = None) -> None:
        around = surroundings or Surroundings()
        self._config = config
        self._identity = load_identity(config.data_dir, address=config.listen)
        self._incarnation = new_incarnation()
        self._http_address = config.http
        self._is_open = False
        self._is_real = surroundings is None
        self._replica = Replica()
        self._lag = LagMeter(self._replica)
        self._transport, self._raft = self._make_raft(around)
        clock = LeaderClock(
            wall_ms=around.now_ms,
            monotonic_s=around.clock,
            committed_ms=lambda: self._replica.state.now_ms,
        )
        self._proposer = Proposer(
            self._raft, now_ms=clock.now_ms, unsettled=lambda: self._replica.state.unsettled
        )
        self._peers = Peers(self._others, hello=self._greeting)
        self._local = LocalProvider(launched_home(config.data_dir), masters=self._all)
        self._reigns = Reigns(
            self._raft,
            self._replica,
            self._proposer,
            address=config.listen,
            masters=config.founders,
            now_ms=clock.now_ms,
            providers={"local": self._local, "webhook": WebhookProvider(masters=self._all)},
        )
        self._routes = Routes(raft=self._raft, proposer=self._proposer, peers=self._peers)
        self._ledger = BlobLedger(self._replica, self._reigns)
        self._timetable = Timetable(self._replica, self._reigns, now_ms=clock.now_ms)
        self._blobs = BlobKeeper(
            BlobStore(config.data_dir / "blobs"),
            self._replica,
            self._peers,
            address=config.listen,
            publish=self._publish_blob,
            is_current=self._is_current,
        )
        self._pulse = Pulse(self._replica, now_ms=clock.now_ms, leads=lambda: self._proposer.reigns)
        self._packer = LogPacker(self._replica, self._reigns, self._blobs)
        self._gateway = self._make_gateway()
        self._raft.on_status(lambda status: self._reigns.masters_changed(status.voters))
        self._replica.listen(self._learn_cluster_id)

    def _make_raft(self, around: Surroundings) -> tuple[PeerTransport, RaftNode]:
        config = RaftConfig(
            address=self._config.listen,
            members=self._config.founders,
            data_dir=self._config.data_dir / "raft",
            member_id=self._identity.member_id,
            incarnation=self._incarnation,
            **_given(self._config),
        )
        transport = PeerTransport(
            config,
            bindings=Bindings(around.disk, self._config.data_dir / "peers.json"),
            cluster_id=lambda: self._identity.cluster_id,
        )
        node = RaftNode(
            config=config,
            machine=self._lag,
            transport=transport,
            disk=around.disk,
            clock=around.clock,
            rng=around.rng,
            on_fatal=around.on_fatal,
        )
        return transport, node

    def _make_gateway(self) -> Gateway:
        members = Members(
            self._raft,
            self._peers,
            notes=OrderNotes(self._replica, self._proposer),
            address=self._config.listen,
            cluster_id=lambda: self._identity.cluster_id,
        )
        return Gateway(
            raft=self._raft,
            replica=self._replica,
            proposer=self._proposer,
            peers=self._peers,
            blobs=self._blobs,
            logs=LogReader(self._replica, self._reigns, KeptLogs(self._replica, self._blobs)),
            watches=Watches(self._replica, heard_ms_ago=lambda: self._raft.status.heard_ms_ago),
            own_info=self._own_info,
            members=members,
            why=self._reigns.why,
            fleet=self._reigns.fleet,
            foresee=self._reigns.foresee,
            ledger=self._ledger,
            routes=self._routes,
        )

    def _make_http(self) -> Http:
        return Http(
            address=self._config.http,
            api=Api(
                gateway=self._gateway, replica=self._replica, raft=self._raft, pulse=self._pulse
            ),
            operations=Operations(
                raft=self._raft,
                replica=self._replica,
                proposer=self._proposer,
                lag=self._lag,
                blobs=self._blobs,
            ),
        )

    def _publish_blob(self, message: BlobStored) -> Awaitable[Message]:
        return self._routes.at_leader(
            message, lambda: self._ledger.stored(message), forwarded=False
        )

    def _is_current(self) -> bool:
        """Whether the state here is what the cluster agrees on, as far as this master can tell."""
        status = self._raft.status
        is_heard = status.is_ready or status.heard_ms_ago < CURRENT_MS
        return bool(status.leader) and is_heard and status.applied_index >= status.commit_index

    async def open(self, stack: AsyncExitStack) -> dict[str, Coroutine[Any, Any, None]]:
        """Open everything; answers the side tasks, by name, that must run as long as the master does."""
        # 1. The port first: a second master on the same address fails before it touches the log.
        #    Who calls already is told to wait.
        listener = await _bound(listen(self._config.listen, self._on_hello), self._config.listen)
        stack.callback(listener.close)
        save_identity(self._config.data_dir, self._identity)
        # 2. The log: snapshot and journal are loaded and checked before anything is answered.
        await self._raft.open()
        stack.push_async_callback(self._raft.close)
        self._learn_cluster_id(0, ())
        self._is_open = True
        http = self._make_http() if self._config.http else None
        if http is not None:
            self._http_address = await _bound(http.open(), self._config.http)
            stack.push_async_callback(http.close)
        # 3. The ways to the other masters.
        stack.callback(self._peers.close)
        tasks = {
            "reigns": self._reigns.run(),
            "blobs": self._blobs.run(),
            "log packs": self._packer.run(),
            "timetable": self._timetable.run(),
            "versions": Versions(self._raft, self._replica, self._reigns, self._peers).run(),
        }
        if http is not None:
            tasks["http"] = http.run()
            tasks["pulse"] = self._pulse.run()
        if self._config.join:
            joining = Joining(
                self._raft, self._peers, address=self._config.listen, masters=self._config.join
            )
            tasks["join"] = joining.run()
        if self._is_real:  # the collector belongs to the process, and virtual time has no lag
            tasks["lag"] = self._lag.run()
            tasks["strays"] = Strays(self._local, self._raft, self._replica).run()
            tasks["garbage"] = keep_garbage_small(may_pause=lambda: not self._proposer.reigns)
        return tasks

    async def leave(self) -> None:
        """Before it stops: the leadership goes to another master, so that nobody waits for an election."""
        leader = await hand_over(self._raft, timeout_s=LEAVE_TIMEOUT_S)
        if leader:
            log.info("handed the leadership over to %s", leader)
        if self._config.is_supervised:
            await asyncio.to_thread(end_launched, self._config.data_dir)

    def _all(self) -> tuple[str, ...]:
        status = self._raft.status
        return (*status.voters, *status.learners)

    def _others(self) -> tuple[str, ...]:
        return tuple(each for each in self._all() if each != self._config.listen)

    @property
    def http_address(self) -> str:
        """Where HTTP is served, "" when it is not."""
        return self._http_address

    def _greeting(self) -> Hello:
        return hello_of_master(
            address=self._config.listen,
            cluster_id=self._identity.cluster_id,
            incarnation=self._incarnation,
        )

    def _on_hello(self, connection: Connection, hello: Hello) -> tuple[Welcome, Handler]:
        if not self._is_open:
            raise Unavailable("this master is still starting")
        ours = self._identity.cluster_id
        if hello.cluster_id and ours and hello.cluster_id != ours:
            raise AccessDenied(
                f"this master belongs to the cluster {ours}, the caller to {hello.cluster_id}",
                hint="check the addresses, or whose data directory the caller was started with",
            )
        welcome = Welcome(
            cluster_id=ours,
            id=self._identity.member_id,
            leader=self._raft.status.leader,
            masters=tuple(MasterInfo(id="", address=address) for address in self._all()),
        )
        return welcome, self._handler_for(connection, hello)

    def _handler_for(self, connection: Connection, hello: Hello) -> Handler:
        if hello.role == ROLE_CLIENT:
            return ClientHandler(self._gateway, forwarded=False)
        if hello.role == ROLE_MASTER:
            return ClientHandler(self._gateway, forwarded=True)
        if hello.role == ROLE_WORKER:
            return Session(self._reigns.need().sessions, self._blobs)
        if hello.role == ROLE_PEER:
            return self._transport.accept(connection, hello)
        raise AccessDenied(f"there is no role {hello.role!r}")

    def _own_info(self) -> MasterInfo:
        status = self._raft.status
        return MasterInfo(
            id=self._identity.member_id,
            address=self._config.listen,
            http=self._http_address,
            role=str(status.role),
            term=status.term,
            applied_index=status.applied_index,
            version=commands.VERSION,
        )

    def _learn_cluster_id(self, index: int, events: Sequence[AnyEvent]) -> None:
        named = self._replica.state.cluster_id
        if named == self._identity.cluster_id or not named:
            return
        if events and not any(isinstance(event, EpochOpened | StateReplaced) for event in events):
            return
        self._identity.cluster_id = named
        save_identity(self._config.data_dir, self._identity)


def _given(config: MasterConfig) -> dict[str, int]:
    """The settings of consensus that this master was told to change."""
    given = {}
    if config.rtt_budget_ms:
        given["rtt_budget_ms"] = config.rtt_budget_ms
    if config.snapshot_entries:
        given["snapshot_entries"] = config.snapshot_entries
        given["keep_entries"] = config.snapshot_entries // 5
    return given


async def _bound(opening: Coroutine[Any, Any, T], address: str) -> T:
    try:
        return await opening
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"{address} is in use by another process",
                hint="stop it, or choose another port",
            ) from None
        raise UserError(f"cannot listen on {address}: {error.strerror}") from None


async def run_master(
    config: MasterConfig,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None] | None = None,
    surroundings: Surroundings | None = None,
) -> None:
    """Run one master until `stop` is set. `ready` is told in one line once it serves.

    Raises `UserError` for what the caller can mend and `Fatal` when the data must not be used.
    """
    config.check()
    async with AsyncExitStack() as stack:
        master = Master(config, surroundings)
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (await master.open(stack)).items()
        ]
        stack.push_async_callback(_cancel, tasks)
        if ready is not None:
            http = f", http://{master.http_address}/" if master.http_address else ""
            ready(f"master {config.listen} serves{http}")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        stack.push_async_callback(_cancel, [stopping])
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            await master.leave()
        for task in done - {stopping}:
            task.result()  # a side task never ends by itself: this raises what killed it


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
