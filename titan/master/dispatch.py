"""From committed assignments to messages for workers (flow 7). Never decides, only tells.

A worker hears of an attempt only after its assignment is committed; what it hears carries the fence
and the epoch. A worker that is not connected hears of it when it registers (`Sessions`).
"""

from __future__ import annotations

import msgspec

from titan.fsm.state import Attempt, State
from titan.ids import JobId, RunId
from titan.spec.globs import needs_of
from titan.spec.manifest import Manifest
from titan.spec.model import JobSpec
from titan.wire.messages import KillAttempt, RunAttempt

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode


def run_message(state: State, attempt: Attempt, *, epoch: int) -> RunAttempt:
    """The order to run a live attempt."""
    run = state.runs[attempt.run]
    spec = _decode_spec(run.jobs[attempt.job].spec)
    checkpoint = state.checkpoints.get(run.id, {}).get(attempt.job)
    return RunAttempt(
        attempt=attempt.id,
        fence=attempt.fence,
        epoch=epoch,
        run=attempt.run,
        number=attempt.number,
        spec=spec,
        bundle=spec.bundle or run.bundle,
        env={f"TITAN_PARAM_{name}": _text(value) for name, value in run.parameters.items()},
        inputs=_inputs(state, run.id, spec),
        checkpoint=checkpoint.manifest if checkpoint is not None else None,
    )


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
