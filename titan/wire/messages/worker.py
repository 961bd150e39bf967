"""Between workers and the leader."""

from __future__ import annotations

from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.manifest import Manifest
from titan.spec.model import BlobRef, JobSpec
from titan.wire.messages.base import Message

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
    ephemeral: bool = False
    idle_ms: int = 0  # of an ephemeral worker; 0: its pool's, or the default
    launch: str = ""  # the launch that it comes of
    host: str = ""  # where others reach its services
    machine: str = ""  # workers of one machine share its ports
    ports: tuple[int, int] = (0, 0)  # that Titan may pick for services; (0, 0): it runs none


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
    log: bytes = b""  # all that it has written, when that is little
    artifacts: Manifest | None = None  # what it leaves for others; its blobs are published
    cpu_us: int = 0  # of the process and of those it waited for; 0 when nobody can tell


class ServiceHealth(Message, frozen=True, kw_only=True, tag="service.health"):
    """Note. The health of a service has changed; repeated after each registration."""

    attempt: AttemptId
    health: str  # healthy, unhealthy, or starting to say why it still is
    detail: str = ""


class AttemptReleased(Message, frozen=True, kw_only=True, tag="attempt.released"):
    """Note. The attempt was never started here and never will be; answers `Retract`."""

    attempt: AttemptId


class Leaving(Message, frozen=True, kw_only=True, tag="worker.leaving"):
    """Note. The worker was told to stop, takes nothing more and leaves when what it runs has ended."""


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
    env: dict[str, str] = {}  # from the run: TITAN_PARAM_…, TITAN_SERVICE_…
    port: int = 0  # services: where to listen
    inputs: dict[JobId, Manifest] = {}  # what the jobs have left whose files this one takes
    checkpoint: Manifest | None = None  # what earlier attempts have published last
    results: tuple[bytes, ...] = ()  # outputs of the jobs that the spec's call names, in its order
    large_results: dict[int, BlobRef] = {}  # those that are blobs, by their place in `results`


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
