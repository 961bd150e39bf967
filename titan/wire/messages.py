"""Every message between clients, workers and masters. See `connection.py` for how they travel.

A connection carries three kinds of exchange: a *call* (one request, one reply), a *channel* (a request,
pieces of bytes or messages either way, a last reply) and a *note* (one way). The class docstring of
each message says which it is, who sends it, and what answers it. Errors travel as `TitanError` codes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.model import JobSpec

PROTOCOL: Final = 1

ROLE_CLIENT: Final = "client"
ROLE_WORKER: Final = "worker"
ROLE_PEER: Final = "peer"  # Raft messages of another master
ROLE_MASTER: Final = "master"  # requests forwarded by another master


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="."):
    """Base of everything that travels."""


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first frame, from the side that dialled: who it is. Answered by `Welcome` or an error."""

    role: str
    id: str = ""  # client, worker or member id
    protocol: int = PROTOCOL
    cluster_id: str = ""  # "" when it is not known yet; a wrong one is refused
    incarnation: int = 0
    address: str = ""  # where the dialler listens, when it does


class MasterInfo(Message, frozen=True, kw_only=True, tag="master"):
    """A master as others see it. `role`: leader, follower, candidate or down."""

    id: str
    address: str  # host:port for masters, workers and clients
    http: str = ""  # host:port
    role: str = "down"
    term: int = 0
    applied_index: int = 0
    is_learner: bool = False  # receives the log and does not count yet
    version: int = 1  # of the commands that it can read; see titan.fsm.commands.VERSION


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The answer to `Hello`. `leader` is an address, "" when there is none known."""

    cluster_id: str
    id: str  # of the master that answers
    leader: str = ""
    masters: tuple[MasterInfo, ...] = ()


class Ok(Message, frozen=True, kw_only=True, tag="ok"):
    """The reply when there is nothing to say."""


# --- client → any master ------------------------------------------------------------------------


class Write(Message, frozen=True, kw_only=True, tag="write"):
    """Call → `WriteDone`. One client command; a follower forwards it to the leader.

    `request` numbers the client's writes from 1; a repeat with the same (client, request) has no
    second effect and gets the first answer. Requests below `floor` will never be repeated.
    `attempt` is set by code inside a task: the write is refused once that attempt is superseded.
    """

    client: str
    request: int
    floor: int
    command: bytes  # titan.fsm.commands.encode_command
    attempt: AttemptId = AttemptId(0)


class WriteDone(Message, frozen=True, kw_only=True, tag="write.done"):
    """Committed and applied. `rejected` is "" or the refusal's code with `why` for people."""

    index: int
    value: Any = None
    rejected: str = ""
    why: str = ""


class Read(Message, frozen=True, kw_only=True, tag="read"):
    """Call → `ReadDone`. Linearizable unless `stale`; then this master answers from what it has."""

    query: bytes  # titan.fsm.queries, msgpack
    stale: bool = False


class ReadDone(Message, frozen=True, kw_only=True, tag="read.done"):
    """`value` is the msgpack of the view that the query names; `age_ms` is how long ago this master
    last heard from a leader (0 for linearizable reads)."""

    index: int
    value: bytes
    age_ms: int = 0


class WatchRun(Message, frozen=True, kw_only=True, tag="watch.run"):
    """Channel → `RunUpdate` pieces, the first at once with everything; ends with `Ok` when it is over."""

    run: RunId
    jobs: bool = True  # also tell which jobs changed


class RunUpdate(Message, frozen=True, kw_only=True, tag="run.update"):
    """The run as of `index` and the jobs that changed since the update before (all in the first)."""

    index: int
    run: bytes  # RunView
    jobs: bytes = b""  # list[JobView]


class WatchKeys(Message, frozen=True, kw_only=True, tag="watch.kv"):
    """Channel → `KeyUpdate` pieces for keys with `prefix`: what is there first, then each change."""

    prefix: str


class KeyUpdate(Message, frozen=True, kw_only=True, tag="kv.update"):
    """A key as of `index`; `item` is the msgpack of KvView, or of None once it is gone."""

    index: int
    key: str
    item: bytes


class ReadLog(Message, frozen=True, kw_only=True, tag="log.read"):
    """Channel → bytes of a job's output from `offset`; ends with `LogEnd`.

    Client → master, and master → the worker that has the file. `attempt` 0 means the newest.
    With `follow` it goes on until the attempt has ended.
    """

    run: RunId
    job: JobId
    attempt: AttemptId = AttemptId(0)
    offset: int = 0
    follow: bool = False


class LogEnd(Message, frozen=True, kw_only=True, tag="log.end"):
    """The log is complete up to `size`."""

    attempt: AttemptId
    size: int


class BlobMissing(Message, frozen=True, kw_only=True, tag="blob.missing"):
    """Call → `BlobList` of those digests that the cluster does not hold."""

    digests: tuple[Digest, ...]


class BlobList(Message, frozen=True, kw_only=True, tag="blob.list"):
    """Digests."""

    digests: tuple[Digest, ...]


class PutBlob(Message, frozen=True, kw_only=True, tag="blob.put"):
    """Channel: the sender's bytes; ends with `Ok` once enough masters hold it and it is published.

    `replica`: a master hands another a copy; it is only stored, the sender publishes.
    """

    digest: Digest
    size: int
    replica: bool = False


class GetBlob(Message, frozen=True, kw_only=True, tag="blob.get"):
    """Channel → the blob's bytes from `offset`; ends with `Ok`."""

    digest: Digest
    offset: int = 0


class GetCluster(Message, frozen=True, kw_only=True, tag="cluster.get"):
    """Call → `ClusterInfo`, as the asked master sees it."""


class ClusterInfo(Message, frozen=True, kw_only=True, tag="cluster.info"):
    """The masters. `leader` is an address or ""."""

    cluster_id: str
    leader: str
    masters: tuple[MasterInfo, ...]


class AddMaster(Message, frozen=True, kw_only=True, tag="master.add"):
    """Call → `Ok` once a master that was started with --join is let in to learn; idempotent."""

    address: str


class RemoveMaster(Message, frozen=True, kw_only=True, tag="master.remove"):
    """Call → `Ok` once the removal is committed; the leader hands over before it is removed."""

    address: str


class TransferLeadership(Message, frozen=True, kw_only=True, tag="leader.transfer"):
    """Call → `LeaderNamed`. To `address`, or to whoever has caught up most when it is ""."""

    address: str = ""


class LeaderNamed(Message, frozen=True, kw_only=True, tag="leader.named"):
    """Who leads now."""

    address: str


class TakeSnapshot(Message, frozen=True, kw_only=True, tag="snapshot.take"):
    """Call → `SnapshotTaken`: the leader writes one now."""


class GetSnapshot(Message, frozen=True, kw_only=True, tag="snapshot.get"):
    """Channel → the bytes of a snapshot that the leader takes now; ends with `SnapshotTaken`."""


class SnapshotTaken(Message, frozen=True, kw_only=True, tag="snapshot.taken"):
    """A snapshot is durable at the leader."""

    name: str
    size: int


# --- worker → leader ----------------------------------------------------------------------------


class Register(Message, frozen=True, kw_only=True, tag="worker.register"):
    """Call → `Registered`, after the join is committed; the first thing on a worker's connection.

    `holds`: attempts it has queued or running; `outbox` travels after. A master that does not lead
    answers the error `not_leader`; a worker id that is connected elsewhere answers `conflict`.
    """

    worker: WorkerId
    incarnation: int
    name: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    holds: tuple[AttemptId, ...]
    epoch_seen: int
    version: str


class Registered(Message, frozen=True, kw_only=True, tag="worker.registered"):
    """The leader's answer. The worker must kill what it holds outside `live`."""

    epoch: int
    live: tuple[AttemptId, ...]
    heartbeat_ms: int
    masters: tuple[str, ...]  # addresses of all masters


class Heartbeat(Message, frozen=True, kw_only=True, tag="worker.heartbeat"):
    """Note. The worker lives. Never enters the log."""

    load_milli: int = 0  # one-minute load average × 1000
    memory_free_mb: int = 0
    disk_free_mb: int = 0
    started: tuple[AttemptId, ...] = ()  # attempts whose process started since the last one


class AttemptEnded(Message, frozen=True, kw_only=True, tag="attempt.ended"):
    """Note. The result of an attempt, repeated on every connection until `Confirmed`."""

    attempt: AttemptId
    exit_code: int
    cause: str = ""
    detail: str = ""
    duration_us: int = 0
    log_bytes: int = 0
    output: bytes = b""


class AttemptReleased(Message, frozen=True, kw_only=True, tag="attempt.released"):
    """Note. The attempt was never started here and never will be; answers `Retract`."""

    attempt: AttemptId


class Goodbye(Message, frozen=True, kw_only=True, tag="worker.goodbye"):
    """Note. The worker leaves for good; nothing runs on it any more."""


# --- leader → worker ----------------------------------------------------------------------------


class RunAttempt(Message, frozen=True, kw_only=True, tag="attempt.run"):
    """Note. Run this. Ignored when the attempt is already known; refused when `epoch` is old."""

    attempt: AttemptId
    fence: int
    epoch: int
    run: RunId
    number: int  # 1 for the job's first attempt
    spec: JobSpec
    bundle: Digest = Digest("")  # already resolved: the job's, else the run's
    env: dict[str, str] = {}  # from the run: TITAN_PARAM_…


class KillAttempt(Message, frozen=True, kw_only=True, tag="attempt.kill"):
    """Note. The attempt was superseded or cancelled: TERM, grace, KILL; nobody wants its result."""

    attempt: AttemptId
    epoch: int
    reason: str


class Retract(Message, frozen=True, kw_only=True, tag="attempt.retract"):
    """Note. Give the attempt back if it has not started; answered by `AttemptReleased` if so."""

    attempt: AttemptId
    epoch: int


class Confirmed(Message, frozen=True, kw_only=True, tag="attempt.confirmed"):
    """Note. These results are committed (or refused for good); the worker may forget them."""

    attempts: tuple[AttemptId, ...]


class LeaveNow(Message, frozen=True, kw_only=True, tag="worker.leave"):
    """Note. Shut down. `drain` lets running attempts end first."""

    drain: bool = True


AnyMessage = (
    Hello
    | MasterInfo
    | Welcome
    | Ok
    | Write
    | WriteDone
    | Read
    | ReadDone
    | WatchRun
    | RunUpdate
    | WatchKeys
    | KeyUpdate
    | ReadLog
    | LogEnd
    | BlobMissing
    | BlobList
    | PutBlob
    | GetBlob
    | GetCluster
    | ClusterInfo
    | AddMaster
    | RemoveMaster
    | TransferLeadership
    | LeaderNamed
    | TakeSnapshot
    | GetSnapshot
    | SnapshotTaken
    | Register
    | Registered
    | Heartbeat
    | AttemptEnded
    | AttemptReleased
    | Goodbye
    | RunAttempt
    | KillAttempt
    | Retract
    | Confirmed
    | LeaveNow
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return _encoder.encode(message)


def decode(payload: bytes | memoryview) -> Message:
    """The message in `payload`; raises `msgspec.DecodeError` or `ValidationError` when it is none."""
    message: Message = _decoder.decode(payload)
    return message
