"""What a job's declaration says about delays and retries, read from its spec only when it matters.

Keeping these fields out of `Job` saves memory for every job that ends at the first try.
"""

from __future__ import annotations

import msgspec

from titan.fsm.state import Job
from titan.spec.model import JobSpec
from titan.spec.service import RestartSpec


class Policy(msgspec.Struct, frozen=True, gc=False):
    """The few fields of `JobSpec` that the state machine acts on after submission."""

    delay_ms: int = 0
    queue_timeout_ms: int = 0
    retries: int = 3
    retry_backoff_ms: int = 1000
    retry_backoff_cap_ms: int = 60_000
    no_retry_exit_codes: tuple[int, ...] = ()
    type: str = "run"


class ServicePolicy(msgspec.Struct, frozen=True, gc=False):
    """What a service's declaration says about where it listens and how it is started again."""

    type: str = "run"
    port: int = 0
    restart: RestartSpec | None = None


_encoder = msgspec.msgpack.Encoder()
_policy_decoder = msgspec.msgpack.Decoder(Policy)
_service_decoder = msgspec.msgpack.Decoder(ServicePolicy)
_spec_decoder = msgspec.msgpack.Decoder(JobSpec)


def encode_spec(spec: JobSpec) -> bytes:
    """The bytes that `Job.spec` keeps: all but the parents, which `Job.parents` has, shared."""
    if spec.depends_on:
        spec = msgspec.structs.replace(spec, depends_on=())
    return _encoder.encode(spec)


def decode_spec(job: Job) -> JobSpec:
    """What the job was declared to be."""
    return msgspec.structs.replace(_spec_decoder.decode(job.spec), depends_on=job.parents)


def may_be_timed(job: Job) -> bool:
    """False when the job surely has neither a delay nor a queue time-out.

    Looks for the names of the fields in the encoded spec, a tenth of the cost of decoding it. Text of
    the user that holds such a name makes the answer True, which only costs the decoding.
    """
    return b"delay_ms" in job.spec or b"queue_timeout_ms" in job.spec


def asks_first(job: Job) -> bool:
    """Whether `when` or `foreach` has a say before the job starts (`conditions.py`).

    Looks for the names of the fields as msgpack spells them. Text of the user that is just such a name
    makes the answer True, which only costs the look.
    """
    spec = job.spec
    return b"\xa4when" in spec or b"\xa7foreach" in spec or b"\xadforeach_items" in spec


def asks_about_others(job: Job) -> bool:
    """Whether the job has any expression: those, or one in `with`, which it asks as it starts. The
    answer may be True for nothing as well."""
    spec = job.spec
    return (
        b"\xa4when" in spec
        or b"${{" in spec
        or b"\xa7foreach" in spec
        or b"\xadforeach_items" in spec
    )


def policy_of(job: Job) -> Policy:
    """The job's delays and retries."""
    return _policy_decoder.decode(job.spec)


def service_policy_of(job: Job) -> ServicePolicy:
    """The job's port and restarts, if it is a service."""
    return _service_decoder.decode(job.spec)


def backoff_ms(attempt: int, *, base_ms: int, cap_ms: int) -> int:
    """Delay before the `attempt`-th retry (1 is the first), in milliseconds.

    Doubles from `base_ms` and never exceeds `cap_ms`. No jitter: this runs inside apply, where
    every replica must get the same number. Callers outside the state machine add their own.
    """
    assert attempt >= 1
    doublings = min(attempt - 1, 64)  # beyond that every base has met the cap
    return min(base_ms << doublings, cap_ms)
