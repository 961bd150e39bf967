"""What clients and other masters may ask of this master, and where each request is served.

Writes and linearizable reads are the leader's; a follower forwards them, once. Watches and stale reads
are served here. A forwarded request is never forwarded again: it fails with `not_leader`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from titan.consensus.api import Raft
from titan.errors import (
    AccessDenied,
    NotLeader,
    ProtocolError,
    Unavailable,
    UserError,
)
from titan.fsm.commands import VERSION, ClientCommand, decode_client_command
from titan.fsm.outcomes import Rejected
from titan.fsm.queries import GetJob, ListWorkers, decode_query
from titan.fsm.queries.base import Query
from titan.fsm.views import read
from titan.ids import JobId, RunId
from titan.limits import WHO_CHARS_MAX
from titan.master.blob_ledger import BlobLedger
from titan.master.blobs import BlobKeeper
from titan.master.fleet import Fleet
from titan.master.logs import LogReader
from titan.master.members import Members
from titan.master.order_notes import UNDECLARED
from titan.master.peers import Peers
from titan.master.proposer import Answer, Proposer, Settled
from titan.master.replica import Replica
from titan.master.routes import LEADER_WAIT_S, Routes
from titan.master.watches import Watches
from titan.sched.verdicts import Why
from titan.wire.channel import Stream
from titan.wire.connection import Connection
from titan.wire.handler import Refusing
from titan.wire.messages import (
    AddMaster,
    AskFleet,
    BlobMissing,
    BlobOffset,
    BlobStored,
    ClusterInfo,
    ExplainJob,
    FleetSeen,
    Follow,
    GetBlob,
    GetCluster,
    GetSnapshot,
    JobExplained,
    MasterInfo,
    Message,
    PutBlob,
    Read,
    ReadDone,
    ReadLog,
    RemoveMaster,
    TakeSnapshot,
    TransferLeadership,
    WatchKeys,
    WatchRun,
    Write,
    WriteDone,
)
from titan.wire.promise import Promise

READ_TIMEOUT_S: Final = 5.0
FLEET_SINCE: Final = 2  # the version of the cluster from which on every master knows the question
UPLOADS_SINCE: Final = 2  # the version of the cluster from which on every master takes uploads

_encode = msgspec.msgpack.Encoder().encode
_BARRIER: Final = Read(query=_encode(ListWorkers()))


class Gateway:
    """Everything a request needs, shared by all client and master connections."""

    def __init__(
        self,
        *,
        raft: Raft,
        replica: Replica,
        proposer: Proposer,
        peers: Peers,
        blobs: BlobKeeper,
        ledger: BlobLedger,
        logs: LogReader,
        watches: Watches,
        own_info: Callable[[], MasterInfo],
        members: Members,
        why: Callable[[RunId, JobId], Why],
        fleet: Callable[[], Fleet],
        foresee: Callable[[ClientCommand], None],
        routes: Routes,
    ) -> None:
        self._raft = raft
        self._replica = replica
        self._proposer = proposer
        self._peers = peers
        self._blobs = blobs
        self._ledger = ledger
        self._logs = logs
        self._watches = watches
        self._own_info = own_info
        self._members = members
        self._why = why
        self._fleet = fleet
        self._foresee = foresee
        self._routes = routes

    # --- calls --------------------------------------------------------------------------------

    def write(self, message: Write, *, forwarded: bool) -> Awaitable[Message]:
        """Commit a client's command, here or at the leader."""
        try:
            command = decode_client_command(message.command)
        except msgspec.DecodeError as error:
            raise UserError(f"not a command that clients may give: {error}") from None
        version = self._replica.state.version
        if version < VERSION and command.needs_version() > version:
            # An older master could not read it in the log, and would have to stop.
            raise Unavailable(
                f"{type(command).__name__} needs version {command.needs_version()} on every master",
                hint="finish the upgrade of the masters",
            )
        if self._proposer.reigns:
            return _when_settled(
                self._propose(message, command),
                otherwise=lambda: self._routes.at_leader(
                    message, lambda: self._write_here(message, command), forwarded=forwarded
                ),
            )
        connection = self._routes.to_leader()
        if connection is not None and not forwarded:
            return connection.ask(message)  # the common case, without a task of its own
        return self._routes.at_leader(
            message, lambda: self._write_here(message, command), forwarded=forwarded
        )

    def _propose(self, message: Write, command: ClientCommand) -> Answer:
        answer = self._proposer.submit_encoded(
            message.command,
            client=message.client,
            request=message.request,
            floor=message.floor,
            attempt=message.attempt,
            who="" if message.attempt else message.who[:WHO_CHARS_MAX] or UNDECLARED,
        )
        self._foresee(command)
        return answer

    async def _write_here(self, message: Write, command: ClientCommand) -> Message:
        return _done(await self._propose(message, command))

    async def read(self, message: Read, *, forwarded: bool) -> Message:
        """Answer a question, linearizably unless it says `stale`."""
        try:
            query = decode_query(message.query)
        except msgspec.DecodeError as error:
            raise UserError(f"not a question this master knows: {error}") from None
        if message.stale:
            return self._answer(query, age_ms=self._raft.status.heard_ms_ago)
        return await self._routes.at_leader(
            message, lambda: self._read_here(query), forwarded=forwarded
        )

    async def _read_here(self, query: Query) -> Message:
        await self._raft.read_index(timeout_s=READ_TIMEOUT_S)
        return self._answer(query, age_ms=0)

    def _answer(self, query: Query, *, age_ms: int) -> ReadDone:
        state = self._replica.state
        return ReadDone(index=state.index, value=_encode(read(state, query)), age_ms=age_ms)

    async def explain(self, message: ExplainJob, *, forwarded: bool) -> Message:
        """Why a job waits: the planner knows, and it is the leader's."""
        return await self._routes.at_leader(
            message, lambda: self._explain_here(message), forwarded=forwarded
        )

    async def _explain_here(self, message: ExplainJob) -> Message:
        await self._raft.read_index(timeout_s=READ_TIMEOUT_S)
        state = self._replica.state
        view = read(state, GetJob(job=message.job, run=message.run))
        return JobExplained(index=state.index, why=_encode(self._why(view.run, view.id)))

    async def fleet(self, *, forwarded: bool) -> Fleet:
        """How the workers fare and what waits: the leader knows."""
        if self._replica.state.version < FLEET_SINCE:
            raise Unavailable(
                "not every master can be asked how the workers fare",
                hint="finish the upgrade of the masters",
            )
        if self._proposer.reigns:
            return self._fleet()
        answer = await self._routes.at_leader(AskFleet(), self.tell_fleet, forwarded=forwarded)
        assert isinstance(answer, FleetSeen)
        return msgspec.msgpack.decode(answer.fleet, type=Fleet)

    async def tell_fleet(self) -> FleetSeen:
        """The same for another master; raises `NotLeader` when this one does not reign."""
        return FleetSeen(fleet=_encode(self._fleet()))

    async def cluster(self) -> ClusterInfo:
        """The masters as this one sees them."""
        status = self._raft.status
        others = await self._peers.infos()
        return ClusterInfo(
            cluster_id=self._replica.state.cluster_id,
            leader=status.leader,
            masters=self._members.described([self._own_info(), *others]),
        )

    def govern(self, message: Message, *, forwarded: bool) -> Awaitable[Message]:
        """Change the masters, move the leadership or take a snapshot: the leader's to do."""
        return self._routes.at_leader(
            message, lambda: self._members.serve(message), forwarded=forwarded
        )

    def own_info(self) -> MasterInfo:
        """What this master says of itself."""
        return self._own_info()

    def ask_of_blobs(
        self, message: BlobMissing | BlobOffset | BlobStored, *, forwarded: bool
    ) -> Awaitable[Message]:
        """Which blobs would have to be uploaded, and from where on; who holds one."""
        match message:
            case BlobOffset():
                return self._blobs.offset(message)
            case BlobMissing():
                return self._routes.at_leader(
                    message, lambda: self._ledger.missing(message), forwarded=forwarded
                )
        if not forwarded:
            raise AccessDenied("only masters say what they hold")
        return self._routes.at_leader(
            message, lambda: self._ledger.stored(message), forwarded=forwarded
        )

    # --- channels -----------------------------------------------------------------------------

    async def channel(self, message: Message, channel: Stream, *, forwarded: bool) -> Message:
        """Serve a channel here or relay it to the leader."""
        match message:
            case GetBlob():
                return await self._blobs.get(message, channel, may_fetch=not forwarded)
            case WatchRun():
                await self.catch_up(forwarded=forwarded)
                return await self._watches.run(message, channel)
            case WatchKeys():
                await self.catch_up(forwarded=forwarded)
                return await self._watches.keys.serve(message, channel)
            case Follow():
                await self.catch_up(forwarded=forwarded)
                return await self._watches.follows.serve(message, channel)
            case PutBlob() if message.replica or self._replica.state.version >= UPLOADS_SINCE:
                return await self._blobs.put(message, channel)
            case PutBlob() | ReadLog() | GetSnapshot():
                deadline_s = time.monotonic() + LEADER_WAIT_S
                leader = await self._routes.leader(deadline_s, forwarded=forwarded)
                if leader:
                    return await self._routes.relay(leader, message, channel)
                if isinstance(message, PutBlob):
                    return await self._blobs.put(message, channel)
                if isinstance(message, GetSnapshot):
                    return await self._members.send_snapshot(channel)
                return await self._logs.read(message, channel)
        raise ProtocolError(f"unexpected channel {type(message).__name__}")

    async def catch_up(self, *, forwarded: bool) -> None:
        """Until this master has applied what was committed when the request came."""
        done = await self.read(_BARRIER, forwarded=forwarded)
        assert isinstance(done, ReadDone)
        await self._replica.wait_applied(done.index, timeout_s=READ_TIMEOUT_S)


class ClientHandler(Refusing):
    """The handler of a connection from a client, or from another master when `forwarded`."""

    def __init__(self, gateway: Gateway, *, forwarded: bool) -> None:
        self._gateway = gateway
        self._forwarded = forwarded

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        """Serve a call."""
        match message:
            case Write():
                return self._gateway.write(message, forwarded=self._forwarded)
            case Read():
                return self._gateway.read(message, forwarded=self._forwarded)
            case BlobMissing() | BlobOffset() | BlobStored():
                return self._gateway.ask_of_blobs(message, forwarded=self._forwarded)
            case ExplainJob():
                return self._gateway.explain(message, forwarded=self._forwarded)
            case AskFleet():
                return self._gateway.tell_fleet()
            case GetCluster():
                if self._forwarded:
                    return self._gateway.own_info()
                return self._gateway.cluster()
            case AddMaster() | RemoveMaster() | TransferLeadership() | TakeSnapshot():
                return self._gateway.govern(message, forwarded=self._forwarded)
        return super().on_call(connection, message)

    async def on_channel(
        self, connection: Connection, message: Message, channel: Stream
    ) -> Message:
        """Serve a channel."""
        return await self._gateway.channel(message, channel, forwarded=self._forwarded)


def _done(settled: Settled) -> WriteDone:
    outcome = settled.outcome
    if isinstance(outcome, Rejected):
        return WriteDone(index=settled.index, rejected=outcome.code, why=outcome.why)
    return WriteDone(index=settled.index, value=outcome.value)


def _when_settled(
    answer: Answer, *, otherwise: Callable[[], Awaitable[Message]]
) -> asyncio.Future[Message]:
    """The reply as a future, so that a write costs no task of its own.

    A write that was not taken because the leadership is on its way to another master goes there
    by `otherwise`: whoever hands over on purpose fails nobody.
    """
    reply: Promise[Message] = Promise(loop=answer.get_loop())

    def settle(done: Answer) -> None:
        if reply.done():
            return
        if done.cancelled():
            reply.cancel()
        elif (error := done.exception()) is None:
            reply.set_result(_done(done.result()))
        elif isinstance(error, NotLeader):
            again = asyncio.ensure_future(otherwise())
            again.add_done_callback(lambda last: _copy(last, reply))
        else:
            reply.set_exception(error)

    answer.add_done_callback(settle)
    return reply


def _copy(source: asyncio.Future[Message], target: asyncio.Future[Message]) -> None:
    if target.done():
        if not source.cancelled():
            source.exception()  # whoever asked has gone
    elif source.cancelled():
        target.cancel()
    elif (error := source.exception()) is not None:
        target.set_exception(error)
    else:
        target.set_result(source.result())
