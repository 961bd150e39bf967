"""Runs: submitting one, all of it or nothing, and letting it grow."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from titan.fsm import budgets, gates, jobs, references, revisions, settling, stages, timers
from titan.fsm.batch import Draft, batchable
from titan.fsm.commands import AddJobs, SubmitRun
from titan.fsm.declare import make_jobs
from titan.fsm.events import JobChanged, RunSubmitted
from titan.fsm.graph import why_not_graph
from titan.fsm.growth import grow
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.outputs import asking
from titan.fsm.policy import asks_first
from titan.fsm.records.revisions import Revision
from titan.fsm.records.unsettled import Starting
from titan.fsm.standing import is_over
from titan.fsm.state import Job, Run, RunState, Stage, State
from titan.fsm.telling import tell_ready
from titan.fsm.unattended import asks_for_worker
from titan.ids import JobId, RunId, is_digest
from titan.limits import JOB_SPEC_BYTES_MAX, JOBS_PER_RUN_MAX, NAME_CHARS_MAX
from titan.spec.budgets import BudgetSpec
from titan.spec.labels import problem_of
from titan.spec.model import Scalar


@handles(SubmitRun)
def submit_run(state: State, cmd: SubmitRun, at: Stamp) -> Outcome:
    """Create a run. Answers its id, also when it exists already: a repeat has no effect."""
    if cmd.run in state.runs:
        return Applied(cmd.run)
    stage = _why_not(cmd) or stages.take(state, run=cmd.run, parts=cmd.parts)
    if isinstance(stage, Rejected):
        return stage
    made = make_jobs(cmd.jobs)
    if isinstance(made, Rejected):
        return made
    if not made and not stage.run.jobs:
        return Rejected("invalid", "a run has at least one job")
    refusal = stages.why_not_part(stage, made)
    if refusal is not None:
        return refusal
    caller = caller_of(state, at)
    agent = agent_of(cmd.agent_run_id, caller)
    count = len(stage.run.jobs) + len(made)
    above = budgets.inherited(state, agent=agent, parent=caller)
    refusal = budgets.why_not_run(state, above, cmd.budget, run=cmd.run, jobs=count)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    stages.clear(turn, cmd.run, but=stage)
    run = stage.run
    run.name = cmd.name
    run.bundle = cmd.bundle
    run.parameters = cmd.parameters
    run.agent_run_id = agent
    run.owner = cmd.owner
    run.labels = cmd.labels
    launch(turn, stage, made, above=above, own=cmd.budget)
    return turn.done(cmd.run)


def caller_of(state: State, at: Stamp) -> Run | None:
    """The run of the task that submits; None for a client outside of tasks."""
    attempt = state.attempts.get(at.attempt)
    return None if attempt is None else state.runs[attempt.run]


def agent_of(asked: str, caller: Run | None) -> str:
    """The agent run that a new run belongs to: its caller's unless it says otherwise."""
    return asked or ("" if caller is None else caller.agent_run_id)


def launch(
    turn: Turn,
    stage: Stage,
    last: Sequence[Job],
    *,
    above: Mapping[str, int],
    own: BudgetSpec | None,
) -> None:
    """Build the last jobs in, make the run visible and let it start. Everything has been checked.

    `above` and `own`: the budgets that it is under, and its own.
    """
    run = stage.run
    stages.build(turn.state, stage, last)
    run.created_ms = turn.at.now_ms
    run.revision = turn.at.index
    turn.state.runs[run.id] = run
    if run.bundle:
        references.hold(turn.state, (run.bundle,))
    attempt = turn.state.attempts.get(turn.at.attempt)
    if attempt is not None:
        run.caller_run, run.caller_job = attempt.run, attempt.job
    budgets.join(turn.state, run, above, own)
    turn.events.append(RunSubmitted(run.id))
    _start(turn, stage)


def _start(turn: Turn, stage: Stage) -> None:
    """Let the jobs without parents start; all others have to wait. Only timers cost anything here."""
    run, roots = stage.run, stage.roots
    if run.unpaid:
        roots = [name for name in roots if name not in run.unpaid]
        stage.timed = [root for root in stage.timed if root.job not in run.unpaid]
    if stage.timed:
        work = Starting(
            turn.at.now_ms,
            [(root.job, root.delay_ms, root.queue_timeout_ms) for root in stage.timed],
        )
        if not go_on_with_start(turn, run, work, steps=turn.at.budget.allowance):
            timers.make_room(turn.state, len(stage.timed))
            settling.keep_operation(turn, run, work)
    tell_ready(turn, run, roots)


def go_on_with_start(turn: Turn, run: Run, work: Starting, *, steps: int) -> bool:
    """Set the timers of the next jobs; whether those were all."""
    now_ms, first = turn.at.now_ms, work.at
    work.at = min(len(work.timed), first + steps)
    due: list[tuple[int, str, JobId]] = []
    for name, delay_ms, queue_timeout_ms in work.timed[first : work.at]:
        job = run.jobs[name]
        if asks_first(job):
            job.not_before_ms = now_ms
            due.append((now_ms, timers.ASK, job.id))
        elif delay_ms or not asks_for_worker(job):
            job.not_before_ms = now_ms + delay_ms
            due.append((job.not_before_ms, timers.JOB, job.id))
        else:
            job.queue_due_ms = now_ms + queue_timeout_ms
            due.append((job.queue_due_ms, timers.QUEUE, job.id))
    timers.set_timers(turn.state, run.id, due)
    turn.at.budget.left -= work.at - first
    return work.at == len(work.timed)


def _why_not(cmd: SubmitRun) -> Rejected | None:
    refusal = why_not_named(
        run=cmd.run, name=cmd.name, agent_run_id=cmd.agent_run_id, owner=cmd.owner
    )
    if refusal is not None:
        return refusal
    if cmd.bundle and not is_digest(cmd.bundle):
        return Rejected("invalid", "bundle is a SHA-256 in hex")
    if not 0 <= cmd.parts <= JOBS_PER_RUN_MAX:
        return Rejected("invalid", f"parts is 0 to {JOBS_PER_RUN_MAX}")
    return why_not_labels(cmd.labels) or why_not_parameters(cmd.parameters)


def why_not_labels(labels: Mapping[str, str]) -> Rejected | None:
    """Why a run cannot have these."""
    problem = problem_of(labels) if labels else ""
    return Rejected("invalid", f"labels: {problem}") if problem else None


def why_not_named(*, run: RunId, **texts: str) -> Rejected | None:
    """Why no run can be called that."""
    if not run or len(run) > NAME_CHARS_MAX:
        return Rejected("invalid", f"a run id has 1 to {NAME_CHARS_MAX} characters")
    for field, text in texts.items():
        if len(text) > NAME_CHARS_MAX:
            return Rejected("too_large", f"{field} has at most {NAME_CHARS_MAX} characters")
    return None


def why_not_parameters(parameters: dict[str, Scalar]) -> Rejected | None:
    """Why a run cannot have these."""
    if len(msgspec.msgpack.encode(parameters)) > JOB_SPEC_BYTES_MAX:
        return Rejected("too_large", f"parameters have at most {JOB_SPEC_BYTES_MAX} bytes")
    return None


@handles(AddJobs)
def add_jobs(state: State, cmd: AddJobs, at: Stamp) -> Outcome:
    """Let a run grow. A run that is over becomes live again. Answers how many jobs were added."""
    new = _check_addition(state, cmd)
    if isinstance(new, Rejected):
        return new
    turn = Turn(state, at)
    return turn.done(apply_addition(turn, cmd, new))


def _check_addition(
    state: State, cmd: AddJobs, *, beside: dict[JobId, Job] | None = None
) -> list[Job] | Rejected:
    """The jobs, or why the run cannot have them, `beside` others that it is about to get."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    refusal = settling.why_not_now(state, run)
    if refusal is not None:
        return refusal
    if is_over(run) and (run.cancelled or run.state is RunState.CANCELLED):
        return Rejected("run_over", f"run {cmd.run} was cancelled")
    if not cmd.jobs:
        return []
    new = make_jobs(gates.behind_known_gates(run, cmd.jobs))
    if isinstance(new, Rejected):
        return new
    known = ChainMap(beside, run.jobs) if beside else run.jobs
    asked = len(new) + len(beside or ())
    return why_not_graph(new, known=known) or budgets.why_not_more(state, run, jobs=asked) or new


def apply_addition(turn: Turn, cmd: AddJobs, new: list[Job]) -> int:
    """Add checked jobs."""
    if not new:
        return 0
    run = turn.state.runs[cmd.run]
    revisions.note(turn.state, run, _grown(turn, run, cmd, count=len(new)))
    grow(turn.state, run, new)
    turn.events.extend(JobChanged(run.id, job.id, job.state) for job in new)
    jobs.place(turn, run, new)
    jobs.refresh_run(turn, run)
    return len(new)


class Pad(msgspec.Struct):
    """Jobs that a batch adds. They join the run together, since it must be settled when they do."""

    jobs: dict[JobId, Job] = msgspec.field(default_factory=dict)
    is_applied: bool = False


class Ticket(NamedTuple):
    """One effect's part in that."""

    pad: Pad
    added: int


def check_in_batch(draft: Draft, cmd: AddJobs) -> Ticket | Rejected:
    """The same in a batch, which a task may use to let its own run grow."""
    attempt = asking(draft.state, draft.at)
    if isinstance(attempt, Rejected):
        return attempt
    if cmd.run != attempt.run:
        return Rejected("invalid", "a task commits jobs to its own run only")
    pad = draft.pad(Pad)
    new = _check_addition(draft.state, cmd, beside=pad.jobs)
    if isinstance(new, Rejected):
        return new
    pad.jobs.update((job.id, job) for job in new)
    return Ticket(pad, len(new))


def apply_in_batch(turn: Turn, cmd: AddJobs, ticket: Ticket) -> int:
    """Add the jobs of all such effects of the batch, with the first of them."""
    if not ticket.pad.is_applied:
        ticket.pad.is_applied = True
        apply_addition(turn, cmd, list(ticket.pad.jobs.values()))
    return ticket.added


batchable(AddJobs, check=check_in_batch, apply=apply_in_batch)


def _grown(turn: Turn, run: Run, cmd: AddJobs, *, count: int) -> Revision:
    state, at = turn.state, turn.at
    return Revision(
        number=revisions.next_number(state, run, at),
        before=run.revision,
        at_ms=at.now_ms,
        by=revisions.who(state, at, cmd.by),
        note="",
        first_added=state.next_job_seq,
        added=count,
    )
