"""Where the files are that a job takes: a ranker among workers that have room, never a condition.

The worker that ran a parent has what the parent left in its cache; the one of the last attempt has the
checkpoint. So nobody has to report anything.
"""

from __future__ import annotations

from typing import Final

import msgspec

from titan.fsm.state import Job, Run, State
from titan.ids import JobId, WorkerId
from titan.spec.globs import needs_of

_WORD: Final = b"artifacts_in"  # most specs do not have it, and are not decoded


class _Inputs(msgspec.Struct, gc=False):
    artifacts_in: tuple[str, ...] = ()


_decoder = msgspec.msgpack.Decoder(_Inputs)


def nearest(state: State, run: Run, job: Job) -> list[WorkerId]:
    """The workers that have any of the job's files, those with the most bytes first."""
    held: dict[WorkerId, int] = {}
    checkpoint = state.checkpoints.get(run.id, {}).get(job.id)
    if checkpoint is not None and job.worker:
        held[job.worker] = checkpoint.manifest.size
    if _WORD in job.spec:
        left = state.artifacts.get(run.id, {})
        for name in needs_of(_decoder.decode(job.spec).artifacts_in):
            parent, manifest = run.jobs.get(JobId(name)), left.get(JobId(name))
            if parent is not None and manifest is not None:
                held[parent.worker] = held.get(parent.worker, 0) + manifest.size
    return sorted(held, key=lambda worker: (-held[worker], worker))


def parents_worker(run: Run, job: Job) -> WorkerId:
    """Where the parent that ended last ran; "" when no parent ran anywhere."""
    best = (-1, WorkerId(""))
    for name in job.parents:
        parent = run.jobs.get(name)
        if parent is not None and parent.worker and parent.ended_ms > best[0]:
            best = (parent.ended_ms, parent.worker)
    return best[1]
