"""Masters without consensus: real sockets and the real state machine, and faults on demand."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Awaitable

import msgspec

from titan.errors import NotFound, NotLeader, TitanError, Unavailable, UnknownOutcome
from titan.fsm.commands import (
    VERSION,
    AdvanceTime,
    AnyCommand,
    AssignAttempt,
    Entry,
    FinishAttempt,
    JoinWorker,
    OpenEpoch,
    Proposal,
    PublishBlob,
    RaiseVersion,
    decode_client_command,
    encode_entry,
)
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.queries import GetResults, GetRun, ListJobs, decode_query
from titan.fsm.views import read
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.master.replica import Replica
from titan.master.watches import Watches
from titan.sdk.context import Identity
from titan.wire.channel import Channel
from titan.wire.connection import Connection
from titan.wire.endpoint import Listener, listen
from titan.wire.handler import Refusing
from titan.wire.messages import (
    BlobAt,
    BlobList,
    BlobMissing,
    BlobOffset,
    ClusterInfo,
    Follow,
    GetBlob,
    GetCluster,
    Hello,
    LogEnd,
    MasterInfo,
    Message,
    Ok,
    PutBlob,
    Read,
    ReadDone,
    ReadLog,
    RunUpdate,
    WatchKeys,
    WatchRun,
    Welcome,
    Write,
    WriteDone,
    encode,
)

FAULTS = ("cut_before", "cut_after", "unknown_after", "unavailable", "not_leader", "depose")


class FakeCluster:
    """Several masters in front of one state machine; `fault_rate` of all requests go wrong."""

    def __init__(self, *, masters: int = 1, fault_rate: float = 0.0, seed: int = 0) -> None:
        self.machine = Replica()
        self.watches = Watches(self.machine, heard_ms_ago=lambda: 0)
        self.pieces_before_cut = 0  # of a watch of keys or a follower; 0: it is left alone
        self.blobs: dict[str, bytes] = {}
        self.logs: dict[tuple[str, str], bytes] = {}
        self.masters = [FakeMaster(self, f"m-{number}") for number in range(masters)]
        self.leader = 0
        self.fault_rate = fault_rate
        self.unknown = ""  # a field of questions and views that these masters are too old for
        self.faults: dict[str, int] = {}
        self.entries_bytes_max = 0
        self._random = random.Random(seed)
        self._index = 0
        self.propose(OpenEpoch(epoch=1, leader="x", cluster_id="k"))
        self.propose(RaiseVersion(version=VERSION))

    async def start(self) -> FakeCluster:
        for master in self.masters:
            await master.start()
        return self

    async def stop(self) -> None:
        for master in self.masters:
            await master.stop()

    @property
    def addresses(self) -> str:
        return ",".join(master.address for master in self.masters)

    def propose(self, command: AnyCommand, **fields: object) -> Outcome:
        return self.apply(Proposal(command, **fields))  # type: ignore[arg-type]

    def apply(self, proposal: Proposal) -> Outcome:
        self._index += 1
        entry = encode_entry(Entry(1, 1, int(time.time() * 1000), (proposal,)))
        self.entries_bytes_max = max(self.entries_bytes_max, len(entry))
        return self.machine.apply(self._index, entry).result.outcomes[0]

    def as_understood(self, query: bytes) -> bytes:
        """The question without what these masters are too old for."""
        fields: dict[str, object] = msgspec.msgpack.decode(query)
        return msgspec.msgpack.encode({k: v for k, v in fields.items() if k != self.unknown})

    def as_told(self, view: object) -> bytes:
        """The answer without it."""
        told = msgspec.msgpack.encode(view)
        if not self.unknown:
            return told
        views: list[dict[str, object]] = msgspec.msgpack.decode(told)
        return msgspec.msgpack.encode(
            [{k: v for k, v in one.items() if k != self.unknown} for one in views]
        )

    def pass_time(self) -> None:
        """Whatever is due begins."""
        self.propose(AdvanceTime())

    def draw_fault(self) -> str:
        if self._random.random() >= self.fault_rate:
            return ""
        fault = self._random.choice(FAULTS)
        self.faults[fault] = self.faults.get(fault, 0) + 1
        return fault

    def start_job(self, run: str, job: str, *, worker: str = "w-1") -> Identity:
        """Let a worker begin a ready job; who the task is."""
        if WorkerId(worker) not in self.machine.state.workers:
            self.propose(
                JoinWorker(
                    worker=WorkerId(worker), incarnation=1, capabilities=("GENERAL",), slots=9
                )
            )
        given = self.propose(AssignAttempt(run=RunId(run), job=JobId(job), worker=WorkerId(worker)))
        assert isinstance(given, Applied), given
        attempt = self.machine.state.attempts[given.value]
        return Identity(run, job, attempt.id, attempt.number, attempt.fence)

    def finish_attempt(self, attempt: AttemptId) -> None:
        """The attempt ends well."""
        self.propose(FinishAttempt(attempt=attempt, exit_code=0))

    def finish(self, run: str, job: str, *, exit_code: int = 0) -> None:
        """Let a worker run a ready job."""
        worker = WorkerId("w-1")
        if worker not in self.machine.state.workers:
            self.propose(
                JoinWorker(worker=worker, incarnation=1, capabilities=("GENERAL",), slots=9)
            )
        given = self.propose(AssignAttempt(run=RunId(run), job=JobId(job), worker=worker))
        assert not isinstance(given, Rejected), given
        found = self.machine.state.job(RunId(run), JobId(job))
        assert found is not None
        self.propose(FinishAttempt(attempt=found.live, exit_code=exit_code))


class FakeMaster(Refusing):
    """One address of the cluster."""

    def __init__(self, cluster: FakeCluster, name: str) -> None:
        self.name = name
        self.address = ""
        self._cluster = cluster
        self._listener: Listener | None = None

    async def start(self) -> None:
        self._listener = await listen(self.address or "127.0.0.1:0", self._greet)
        self.address = self._listener.address

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None

    def _info(self) -> ClusterInfo:
        infos = tuple(MasterInfo(id=one.name, address=one.address) for one in self._cluster.masters)
        return ClusterInfo(
            cluster_id="k", leader=infos[self._cluster.leader].address, masters=infos
        )

    def _greet(self, connection: Connection, hello: Hello) -> tuple[Welcome, FakeMaster]:
        info = self._info()
        welcome = Welcome(cluster_id="k", id=self.name, leader=info.leader, masters=info.masters)
        return welcome, self

    @property
    def _leads(self) -> bool:
        return self._cluster.masters[self._cluster.leader] is self

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        match message:
            case GetCluster():
                return self._info()
            case BlobMissing():
                return BlobList(
                    digests=tuple(one for one in message.digests if one not in self._cluster.blobs)
                )
            case BlobOffset():
                return BlobAt(offset=0)
        if not self._leads:
            raise NotLeader(leader=self._info().leader)
        fault = self._cluster.draw_fault()
        self._fail_before(connection, fault)
        match message:
            case Write():
                answer = self._write(message)
            case Read():
                state = self._cluster.machine.state
                view = read(state, decode_query(self._cluster.as_understood(message.query)))
                answer = ReadDone(index=state.index, value=self._cluster.as_told(view))
            case _:
                return super().on_call(connection, message)
        if fault == "cut_after":
            connection.close(Unavailable("cut"))
        if fault == "unknown_after":
            raise UnknownOutcome
        return answer

    def _fail_before(self, connection: Connection, fault: str) -> None:
        if fault == "cut_before":
            connection.close(Unavailable("cut"))
            raise Unavailable("cut")
        if fault == "unavailable":
            raise Unavailable("an election is going on")
        if fault in ("not_leader", "depose"):
            if fault == "depose":
                self._cluster.leader = (self._cluster.leader + 1) % len(self._cluster.masters)
            raise NotLeader

    def _write(self, message: Write) -> WriteDone:
        command = decode_client_command(message.command)
        outcome = self._cluster.apply(
            Proposal(
                command,  # type: ignore[arg-type]
                client=message.client,
                request=message.request,
                floor=message.floor,
                attempt=message.attempt,
            )
        )
        index = self._cluster.machine.state.index
        if isinstance(outcome, Rejected):
            return WriteDone(index=index, rejected=outcome.code, why=outcome.why)
        return WriteDone(index=index, value=outcome.value)

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        match message:
            case PutBlob():
                return await self._take_blob(connection, message, channel)
            case GetBlob():
                await channel.send(self._cluster.blobs[message.digest][message.offset :])
                return Ok()
            case ReadLog():
                return await self._send_log(connection, message, channel)
            case WatchRun():
                return await self._send_run(message, channel)
            case WatchKeys():
                return await self._cluster.watches.keys.serve(message, self._cut(channel))
            case Follow():
                return await self._cluster.watches.follows.serve(message, self._cut(channel))
        return await super().on_channel(connection, message, channel)

    async def _take_blob(
        self, connection: Connection, message: PutBlob, channel: Channel
    ) -> Message:
        data = b""
        async for piece in channel:
            data += piece
            if self._cluster.draw_fault():
                connection.close(Unavailable("cut"))
        if hashlib.sha256(data).hexdigest() != message.digest or len(data) != message.size:
            raise TitanError("the bytes are not those of the digest")
        self._cluster.blobs[message.digest] = data
        self._cluster.propose(
            PublishBlob(digest=message.digest, size=message.size, holders=(self.address,))
        )
        return Ok()

    async def _send_log(
        self, connection: Connection, message: ReadLog, channel: Channel
    ) -> Message:
        data = self._cluster.logs.get((message.run, message.job))
        if data is None:
            raise NotFound("no such log")
        for at in range(message.offset, len(data), 1000):
            await channel.send(data[at : at + 1000])
            if self._cluster.draw_fault():
                connection.flush()
                connection.close()
        return LogEnd(attempt=message.attempt, size=len(data))

    async def _send_run(self, message: WatchRun, channel: Channel) -> Message:
        """The run now; it "breaks" after every update, so that a watcher has to come back."""
        state = self._cluster.machine.state
        view = read(state, GetRun(run=message.run))
        jobs = read(state, ListJobs(run=message.run)) if message.jobs else []
        pack, results = msgspec.msgpack.encode, b""
        if message.results:
            results = pack(read(state, GetResults(run=message.run, jobs=message.results)))
        update = RunUpdate(
            index=state.index, run=pack(view), jobs=pack(list(jobs)), results=results
        )
        await channel.send(encode(update))
        if not view.over:
            raise Unavailable("come back")
        return Ok()

    def _cut(self, channel: Channel) -> Channel:
        """The channel, which breaks after so many pieces as the cluster says."""
        most = self._cluster.pieces_before_cut
        return _Cut(channel, most) if most else channel  # type: ignore[return-value]


class _Cut:
    def __init__(self, channel: Channel, most: int) -> None:
        self._channel = channel
        self._left = most

    async def send(self, piece: bytes) -> None:
        if not self._left:
            raise Unavailable("come back")
        self._left -= 1
        await self._channel.send(piece)


def digest(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())
