"""Orders to the state machine, and the envelope they travel in.

A tag is on disk for ever: it is never renamed and never reused. Adding a field with a default is
safe; everything else needs a new command with a new `since`. A `ClientCommand` may be given by anyone
with the client role; the rest is proposed by the leader alone.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.model import JobSpec

ENTRY_FORMAT: Final = 1
VERSION: Final = 1  # of the commands below: raised with every new one, which says so by `since`


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="!"):
    """Base of every order."""

    client_may: ClassVar[bool] = False
    since: ClassVar[int] = (
        1  # the `VERSION` that brought it: not proposed before all masters have it
    )


class ClientCommand(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the orders that a client may give."""

    client_may: ClassVar[bool] = True


# --- runs and jobs (handlers: runs.py, jobs.py) -------------------------------------------------


class StageJobs(ClientCommand, frozen=True, kw_only=True, tag="run.stage"):
    """One part of a submission too large for one entry; invisible until `SubmitRun` completes it."""

    run: RunId
    part: int  # 0, 1, 2, …
    jobs: tuple[JobSpec, ...]


class SubmitRun(ClientCommand, frozen=True, kw_only=True, tag="run.submit"):
    """Create a run from the staged parts followed by `jobs`. The same run id again has no effect."""

    run: RunId
    name: str
    jobs: tuple[JobSpec, ...]
    parts: int = 0  # how many parts were staged before
    bundle: Digest = Digest("")
    parameters: dict[str, str | int | float | bool | None] = {}
    agent_run_id: str = ""
    owner: str = ""  # who asked, for people to read


class AddJobs(ClientCommand, frozen=True, kw_only=True, tag="run.add_jobs"):
    """Add jobs to a live run. Parents may be finished, running or new."""

    run: RunId
    jobs: tuple[JobSpec, ...]


class CancelRun(ClientCommand, frozen=True, kw_only=True, tag="run.cancel"):
    """Cancel every job of the run that has not ended."""

    run: RunId


class CancelJob(ClientCommand, frozen=True, kw_only=True, tag="job.cancel"):
    """Cancel a job and its descendants."""

    run: RunId
    job: JobId


class RetryJob(ClientCommand, frozen=True, kw_only=True, tag="job.retry"):
    """Run a job that ended again, and with it every descendant that ended because of it."""

    run: RunId
    job: JobId


# --- attempts (attempts.py) ---------------------------------------------------------------------


class AssignAttempt(Command, frozen=True, kw_only=True, tag="attempt.assign"):
    """The planner gives a ready job to a worker. The state machine checks it again and draws the id."""

    run: RunId
    job: JobId
    worker: WorkerId


class FinishAttempt(Command, frozen=True, kw_only=True, tag="attempt.finish"):
    """A worker reports how an attempt ended. Accepted once, only while the attempt is live."""

    attempt: AttemptId
    exit_code: int  # as a shell reports it: 128 + n for signal n; -1 when it never started
    cause: str = ""  # "", timeout, start_failed or output_limit
    detail: str = ""  # one line for people
    duration_us: int = 0  # process start to exit; 0 when it never started
    log_bytes: int = 0
    output: bytes = b""


class ReleaseAttempt(Command, frozen=True, kw_only=True, tag="attempt.release"):
    """The attempt will not run where it is; its job is ready again without spending a retry.

    `cause`: retracted (never started, pulled back) or lost (its worker no longer has it).
    """

    attempt: AttemptId
    cause: str


# --- workers (workers.py) -----------------------------------------------------------------------


class JoinWorker(Command, frozen=True, kw_only=True, tag="worker.join"):
    """A worker connected. Its live attempts that it no longer `holds` are closed as lost if this is
    a new life of the worker (another `incarnation`), since their processes died with the old one."""

    worker: WorkerId
    incarnation: int
    name: str = ""
    capabilities: tuple[str, ...] = ()
    slots: int = 1
    resources: dict[str, int] = {}
    holds: tuple[AttemptId, ...] = ()
    version: str = ""


class ExpireWorker(Command, frozen=True, kw_only=True, tag="worker.expire"):
    """The worker has been silent too long (or said goodbye); its attempts are closed as lost."""

    worker: WorkerId
    incarnation: int
    cause: str = "silent"  # silent | left


class SetWorkerMode(ClientCommand, frozen=True, kw_only=True, tag="worker.mode"):
    """`open` takes work; `cordoned` takes no new work; `draining` takes none and is to leave."""

    worker: WorkerId
    mode: str


# --- key-value store (kv.py) --------------------------------------------------------------------


class KvPut(ClientCommand, frozen=True, kw_only=True, tag="kv.put"):
    """Set a key. `ttl_ms` 0 keeps it for ever. Answers the version: the log index of the write."""

    key: str
    value: bytes  # text is UTF-8
    binary: bool = False  # reads give bytes back instead of text
    ttl_ms: int = 0


class KvDelete(ClientCommand, frozen=True, kw_only=True, tag="kv.delete"):
    """Remove a key. Answers whether it was there."""

    key: str


class KvCas(ClientCommand, frozen=True, kw_only=True, tag="kv.cas"):
    """Set a key only if it has `expected` now (None: is absent). Answers whether it was set."""

    key: str
    expected: bytes | None
    value: bytes
    binary: bool = False
    ttl_ms: int = 0


class KvIncr(ClientCommand, frozen=True, kw_only=True, tag="kv.incr"):
    """Add to a decimal counter kept as text; a missing key counts as 0. Answers the new value."""

    key: str
    by: int = 1


class KvSetAdd(ClientCommand, frozen=True, kw_only=True, tag="kv.sadd"):
    """Add a member to a set key. Answers 1 if it is new, else 0."""

    key: str
    member: str


class KvSetRemove(ClientCommand, frozen=True, kw_only=True, tag="kv.srem"):
    """Remove a member from a set key. Answers 1 if it was there, else 0."""

    key: str
    member: str


# --- blobs (blobs.py) ---------------------------------------------------------------------------


class PublishBlob(Command, frozen=True, kw_only=True, tag="blob.publish"):
    """Record that masters hold a blob; proposed only after they have it on disk. Holders add up."""

    digest: Digest
    size: int
    holders: tuple[str, ...]


# --- the cluster and time (cluster.py, timers.py) -----------------------------------------------


class OpenEpoch(Command, frozen=True, kw_only=True, tag="epoch.open"):
    """A new leader begins its reign. Entries stamped with an older epoch are refused from here on."""

    epoch: int  # the Raft term of the leader
    leader: str  # its address, for people
    cluster_id: str = ""  # the first epoch of all names the cluster; later ones cannot rename it


class RaiseVersion(Command, frozen=True, kw_only=True, tag="cluster.version"):
    """Every master can read the commands of this version: from here on they may be proposed."""

    version: int


class AdvanceTime(Command, frozen=True, kw_only=True, tag="time.advance"):
    """Fire every timer that is due at the entry's `now_ms`."""


AnyClientCommand = (
    StageJobs
    | SubmitRun
    | AddJobs
    | CancelRun
    | CancelJob
    | RetryJob
    | SetWorkerMode
    | KvPut
    | KvDelete
    | KvCas
    | KvIncr
    | KvSetAdd
    | KvSetRemove
)
AnyCommand = (
    AnyClientCommand
    | AssignAttempt
    | FinishAttempt
    | ReleaseAttempt
    | JoinWorker
    | ExpireWorker
    | PublishBlob
    | OpenEpoch
    | RaiseVersion
    | AdvanceTime
)


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """One command with what makes it idempotent and fenced."""

    command: AnyCommand
    client: str = ""  # "" for the leader's own: not deduplicated
    request: int = 0  # 1, 2, 3, … within the client
    floor: int = 0  # every request below it has been answered and will not be repeated
    attempt: AttemptId = AttemptId(0)  # when it comes from inside a task: refused unless it is live


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What one index of the log holds: commands gathered by one leader at one moment."""

    format: int
    epoch: int
    now_ms: int  # the leader's wall clock; the state machine never goes backwards
    proposals: tuple[Proposal, ...]


_encoder = msgspec.msgpack.Encoder()
_entry_decoder = msgspec.msgpack.Decoder(Entry)
_client_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyClientCommand)


def encode_entry(entry: Entry) -> bytes:
    """The bytes that enter the log."""
    return _encoder.encode(entry)


def decode_entry(payload: bytes) -> Entry:
    """The entry in `payload`; raises `msgspec.DecodeError` for anything this version does not know."""
    return _entry_decoder.decode(payload)


def encode_command(command: Command) -> bytes:
    """One command alone, as clients send it."""
    return _encoder.encode(command)


def decode_client_command(payload: bytes) -> ClientCommand:
    """A client's command; raises `msgspec.DecodeError` (or its ValidationError) for any other bytes."""
    try:
        command: ClientCommand = _client_decoder.decode(payload)
    except (
        UnicodeDecodeError,
        RecursionError,
    ) as error:  # msgspec lets these two through as they are
        raise msgspec.DecodeError(str(error)) from error
    return command
