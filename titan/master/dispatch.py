"""From committed assignments to messages for workers (flow 7). Never decides, only tells.

A worker hears of an attempt only after its assignment is committed; what it hears carries the fence
and the epoch. A worker that is not connected hears of it when it registers (`Sessions`).
"""

from __future__ import annotations

import msgspec

from titan.fsm.artifacts import large_output
from titan.fsm.service_views import address_for
from titan.fsm.state import Attempt, Job, JobState, Run, State
from titan.ids import JobId, RunId
from titan.limits import CALL_INPUTS_BYTES_MAX
from titan.spec.globs import needs_of
from titan.spec.manifest import Manifest
from titan.spec.model import BlobRef, Call, JobSpec
from titan.wire.messages import KillAttempt, RunAttempt

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode


def run_message(state: State, attempt: Attempt, *, epoch: int) -> RunAttempt:
    """The order to run a live attempt."""
    run = state.runs[attempt.run]
    job = run.jobs[attempt.job]
    spec = _decode_spec(job.spec)
    env = {f"TITAN_PARAM_{name}": _text(value) for name, value in run.parameters.items()}
    checkpoint = state.checkpoints.get(run.id, {}).get(attempt.job)
    return RunAttempt(
        attempt=attempt.id,
        fence=attempt.fence,
        epoch=epoch,
        run=attempt.run,
        number=attempt.number,
        spec=spec,
        bundle=spec.bundle or run.bundle,
        env=env | service_env(state, run, job) if run.services else env,
        port=attempt.port,
        inputs=_inputs(state, run.id, spec),
        checkpoint=checkpoint.manifest if checkpoint is not None else None,
        results=_results(run, spec.call) if spec.call is not None else (),
        large_results=_large_results(state, run, spec.call) if spec.call is not None else {},
    )


def _results(run: Run, call: Call) -> tuple[bytes, ...]:
    """The results that a function is given; none when one is missing or they are too large together,
    which the worker refuses: a result that is not there must not look like None."""
    jobs = [run.jobs[name] for name in call.inputs if name in run.jobs]
    if any(job.state is not JobState.COMPLETED for job in jobs):
        return ()
    found = tuple(job.output for job in jobs)
    return found if sum(map(len, found)) <= CALL_INPUTS_BYTES_MAX else ()


def _large_results(state: State, run: Run, call: Call) -> dict[int, BlobRef]:
    """Those among them that are blobs, by position."""
    if run.id not in state.artifacts:
        return {}
    jobs = [run.jobs[name] for name in call.inputs if name in run.jobs]
    found = {n: large_output(state, run, job) for n, job in enumerate(jobs)}
    return {n: blob for n, blob in found.items() if blob is not None}


def service_env(state: State, run: Run, job: Job) -> dict[str, str]:
    """Where the services that the job depends on are now: TITAN_SERVICE_<NAME>=host:port."""
    found = {}
    for name in job.parents:
        if name in run.services and (address := address_for(state, run, name)):
            found[variable_of(name)] = address
    return found


def variable_of(service: str) -> str:
    """The name of the variable that tells a service's address."""
    plain = "".join(char if char.isalnum() else "_" for char in service.upper())
    return f"TITAN_SERVICE_{plain}"


def _inputs(state: State, run: RunId, spec: JobSpec) -> dict[JobId, Manifest]:
    """What the jobs have left whose files this one takes; the worker chooses among them."""
    if not spec.artifacts_in:
        return {}
    left = state.artifacts.get(run, {})
    names = [JobId(name) for name in needs_of(spec.artifacts_in)]
    return {name: left[name] for name in names if name in left}


def kill_message(attempt: int, *, epoch: int, reason: str) -> KillAttempt:
    """The order to end an attempt that is no longer live."""
    return KillAttempt(attempt=attempt, epoch=epoch, reason=reason)  # type: ignore[arg-type]


def _text(value: str | int | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
