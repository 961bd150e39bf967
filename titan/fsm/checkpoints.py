"""Checkpoints: the files that a job's next attempt finds, as its attempts have published them last."""

from __future__ import annotations

from titan.fsm import references, settling, timers
from titan.fsm.commands import PublishCheckpoint
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.records.files import Checkpoint
from titan.fsm.state import Job, Run, State
from titan.ids import JobId, RunId
from titan.limits import CHECKPOINT_KEEP_MS
from titan.spec.manifest import why_not_manifest


@handles(PublishCheckpoint)
def publish_checkpoint(state: State, cmd: PublishCheckpoint, at: Stamp) -> Outcome:
    """Replace a job's checkpoint as a whole. Answers whether it was newer than what is there."""
    refusal = settling.why_not_live(state, cmd.attempt)
    if refusal is not None:
        return refusal
    attempt = state.attempts[cmd.attempt]
    problem = why_not_manifest(cmd.manifest)
    if problem:
        return Rejected("invalid", problem)
    unknown = references.first_unknown(state, cmd.manifest)
    if unknown is not None:
        return Rejected("unknown_blob", f"no master holds {unknown}; upload it first")
    turn = Turn(state, at)
    old = state.checkpoints.get(attempt.run, {}).get(attempt.job)
    if old is not None and old.attempt == cmd.attempt and old.taken_ms > cmd.taken_ms:
        return turn.done(False)
    references.hold(state, cmd.manifest.digests)
    if old is not None:
        references.release(turn, old.manifest.digests)
    state.checkpoints.setdefault(attempt.run, {})[attempt.job] = Checkpoint(
        cmd.manifest, cmd.attempt, cmd.taken_ms, at.now_ms
    )
    return turn.done(True)


def job_is_over(turn: Turn, run: Run, job: Job) -> None:
    """The job has ended: its checkpoint is kept a while, in case it is run again."""
    state = turn.state
    checkpoint = state.checkpoints.get(run.id, {}).get(job.id)
    if checkpoint is not None:
        checkpoint.expires_ms = turn.at.now_ms + CHECKPOINT_KEEP_MS
        timers.set_timer(state, timers.CHECKPOINT, run.id, job.id, due_ms=checkpoint.expires_ms)


def job_runs_again(state: State, run: Run, job: Job) -> None:
    """The job is to run again: its checkpoint stays."""
    checkpoint = state.checkpoints.get(run.id, {}).get(job.id)
    if checkpoint is not None:
        checkpoint.expires_ms = 0


def timer_fired(turn: Turn, run: RunId, job: JobId) -> None:
    """Nobody has run the job again."""
    of_run = turn.state.checkpoints[run]
    references.release(turn, of_run.pop(job).manifest.digests)
    if not of_run:
        del turn.state.checkpoints[run]


def run_is_forgotten(turn: Turn, run: RunId) -> None:
    """The run is gone: so are its checkpoints."""
    for checkpoint in turn.state.checkpoints.pop(run, {}).values():
        references.release(turn, checkpoint.manifest.digests)
