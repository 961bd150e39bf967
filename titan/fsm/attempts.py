"""Attempts: assigning them, accepting how they end, taking them back.

The planner may be wrong or late, so every assignment is checked again here. A result counts once, and
only while its attempt is live: that is what makes acceptance exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable

from titan.fsm import artifacts, jobs, locks, logs, payments, ports, service_life, settling
from titan.fsm.commands import AssignAttempt, FinishAttempt, ReleaseAttempt
from titan.fsm.events import AttemptAssigned, AttemptFinished, AttemptRevoked
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.occupancy import occupy, vacate
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.policy import policy_of
from titan.fsm.records.unsettled import CancellingRun
from titan.fsm.state import (
    Attempt,
    AttemptRecord,
    Demand,
    Job,
    JobState,
    Run,
    State,
    Worker,
    is_ready,
)
from titan.ids import AttemptId
from titan.limits import (
    ATTEMPT_HISTORY_MAX,
    ERROR_TEXT_BYTES_MAX,
    LOSSES_IN_A_ROW_MAX,
    OUTPUT_BYTES_MAX,
    PREFILL_PER_SLOT_MAX,
    SERVICE_LOSS_QUICK_MS,
)

_RELEASE_CAUSES = ("retracted", "lost")
NOT_LIVE = Rejected("attempt_not_live", "the attempt has ended or was superseded")


@handles(AssignAttempt)
def assign_attempt(state: State, cmd: AssignAttempt, at: Stamp) -> Outcome:
    """Give a ready job to a worker. Answers the id of the attempt; 0 when that shows that a service
    cannot have its port anywhere, which ends it."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    job = run.jobs.get(cmd.job)
    if job is None:
        return Rejected("unknown_job", f"run {cmd.run} has no job '{cmd.job}'")
    refusal = settling.why_not_job(state, run, job)
    if refusal is not None:
        return refusal
    if not is_ready(job):
        return Rejected("not_ready", f"'{cmd.job}' is {job.state.value} and not ready")
    worker = state.workers.get(cmd.worker)
    if worker is None:
        return Rejected("unknown_worker", f"there is no worker {cmd.worker}")
    turn = Turn(state, at)
    if job.id in run.services:
        return _assign_service(turn, run, job, worker)
    refusal = _why_not(worker, job.demand)
    if refusal is not None:
        return refusal
    return _started(turn, run, job, attempt=_open(turn, run, job, worker=worker))


def _assign_service(turn: Turn, run: Run, job: Job, worker: Worker) -> Outcome:
    """The same for a service, which needs a port as well."""
    state = turn.state
    port_refusal = service_life.gives_up_on_port(state, run, job)
    if port_refusal:
        service_life.fail_unplaced(turn, run, job, reason=port_refusal)
        return turn.done(0)
    refusal = _why_not(worker, job.demand)
    if refusal is not None:
        return refusal
    port = service_life.place(state, run, job, worker)
    if isinstance(port, Rejected):
        return port
    attempt = _open(turn, run, job, worker=worker, port=port)
    service_life.begin(turn, run, job, attempt=attempt, worker=worker)
    return _started(turn, run, job, attempt=attempt)


def _started(turn: Turn, run: Run, job: Job, *, attempt: Attempt) -> Outcome:
    jobs.start(turn, run, job, attempt=attempt)
    jobs.refresh_run(turn, run)
    return turn.done(attempt.id)


def _why_not(worker: Worker, demand: Demand) -> Rejected | None:
    """Why the worker cannot take one more such job; None when it can."""
    if not worker.online or worker.mode != "open":
        mode = worker.mode if worker.online else "offline"
        return Rejected("worker_unavailable", f"worker {worker.id} is {mode}")
    for tag in demand.requirement:
        if tag not in worker.capabilities:
            return Rejected("not_capable", f"worker {worker.id} does not offer {tag}")
    if len(worker.live) >= worker.slots * (1 + PREFILL_PER_SLOT_MAX):
        return Rejected("worker_busy", f"worker {worker.id} holds {len(worker.live)} attempts")
    for name, amount in demand.resources:
        if name == "slots":
            total, free = worker.slots, worker.slots  # a slot may be waited for on the worker
        else:
            total = worker.resources.get(name, 0)
            free = total - worker.used.get(name, 0)
        if amount > free:
            why = f"worker {worker.id} has {free} of {total} {name} free, {amount} are needed"
            return Rejected("no_capacity", why)
    return None


def _open(turn: Turn, run: Run, job: Job, *, worker: Worker, port: int = 0) -> Attempt:
    state, at = turn.state, turn.at
    attempt = Attempt(
        id=AttemptId(state.next_attempt),
        fence=at.index,
        run=run.id,
        job=job.id,
        worker=worker.id,
        incarnation=worker.incarnation,
        number=job.attempts + 1,
        assigned_ms=at.now_ms,
        port=port,
        machine=worker.machine if port else "",
    )
    state.next_attempt += 1
    state.attempts[attempt.id] = attempt
    worker.live[attempt.id] = None
    occupy(worker.used, job)
    turn.events.append(AttemptAssigned(attempt.id, at.index, run.id, job.id, worker.id))
    return attempt


@handles(FinishAttempt)
def finish_attempt(state: State, cmd: FinishAttempt, at: Stamp) -> Outcome:
    """Accept how a live attempt ended, and decide what that means for its job."""
    attempt = state.attempts.get(cmd.attempt)
    if attempt is None:
        return NOT_LIVE
    run = state.runs[attempt.run]
    job = run.jobs[attempt.job]
    refusal = why_not_yet(state, run, job)
    if refusal is not None:
        return refusal
    cause = cmd.cause
    if len(cmd.output) > OUTPUT_BYTES_MAX and not cause:
        cause = "output_limit"  # the result must be accepted somehow, or the job would hang
    detail = cmd.detail
    if cmd.artifacts is not None and not cause and not cmd.exit_code:
        problem = artifacts.why_not_outputs(state, cmd.artifacts)
        if problem:
            cause, detail = "artifacts_lost", problem
    turn = Turn(state, at)
    output = attempt.output  # what the task set goes before what it wrote into a file
    if cmd.log and state.version >= cmd.needs_version():
        logs.note(turn, attempt, text=cmd.log)
    _close(
        turn,
        attempt,
        cause=cause,
        exit_code=cmd.exit_code,
        detail=_clip(detail),
        log_bytes=cmd.log_bytes,
    )
    turn.events.append(
        AttemptFinished(attempt.id, run.id, job.id, attempt.worker, cmd.exit_code, cmd.duration_us)
    )
    if state.version >= FinishAttempt.cpu_since:
        payments.charge_cpu(turn, run, max(0, cmd.cpu_us or cmd.duration_us))
    job.exit_code = cmd.exit_code
    if job.id in run.services:
        reason = _why_failed(job, cause=cause, detail=_clip(cmd.detail))
        ran_ms = cmd.duration_us // 1000
        service_life.attempt_ended(turn, run, job, cause=cause, reason=reason, ran_ms=ran_ms)
    elif cmd.exit_code == 0 and not cause:
        job.output = output or artifacts.output_of(cmd.artifacts) or cmd.output
        if cmd.artifacts is not None and (cmd.artifacts.count or cmd.artifacts.output):
            artifacts.keep_outputs(turn, run, job, manifest=cmd.artifacts)
        jobs.end(turn, run, job, to=JobState.COMPLETED)
        jobs.settle(turn, run, [job])
    else:
        _fail(turn, run, job, cause=cause, detail=_clip(detail))
    jobs.refresh_run(turn, run)
    return turn.done()


def why_not_yet(state: State, run: Run, job: Job) -> Rejected | None:
    """Why the end of the job's live attempt must wait, or comes too late."""
    if isinstance(settling.operation_at(state, run), CancellingRun):
        return NOT_LIVE  # it is being cancelled, though its turn to be told may not have come
    return settling.why_not_job(state, run, job)


def why_not_lost(state: State, numbers: Iterable[AttemptId]) -> Rejected | None:
    """Why these live attempts cannot be closed as lost just now: their runs must be settled first."""
    for number in numbers:
        attempt = state.attempts[number]
        run = state.runs[attempt.run]
        refusal = settling.why_not_job(state, run, run.jobs[attempt.job])
        if refusal is not None:
            return refusal
    return None


def _fail(turn: Turn, run: Run, job: Job, *, cause: str, detail: str) -> None:
    """Retry, or end the job: FAILED when a retry is pointless or not wanted, DEAD when all are spent."""
    policy = policy_of(job)
    reason = _why_failed(job, cause=cause, detail=detail)
    is_deterministic = cause == "start_failed" or job.exit_code in policy.no_retry_exit_codes
    if is_deterministic or not policy.retries:
        jobs.end(turn, run, job, to=JobState.FAILED, reason=reason)
    elif job.retries_used >= policy.retries:
        jobs.end(turn, run, job, to=JobState.DEAD, reason=reason)
    else:
        job.reason = reason
        jobs.retry_later(turn, run, job, policy=policy)
        return
    jobs.settle(turn, run, [job])


def _why_failed(job: Job, *, cause: str, detail: str) -> str:
    code = job.exit_code or 0
    if cause == "start_failed":
        what = "could not start"
    elif cause == "timeout":
        what = "timed out"
    elif cause == "output_limit":
        what = "wrote too much output"
    elif cause == "out_of_memory":
        what = "ran out of memory"
    elif cause == "not_prepared":
        what = "could not be prepared"
    elif cause == "port_in_use":
        what = "its port is in use"
    elif cause == "unhealthy":
        what = "unhealthy for too long"
    elif cause.startswith("artifact"):
        what = "its artifacts are incomplete"
    elif cause:
        what = cause
    else:
        what = f"killed by signal {code - 128}" if 128 < code < 193 else f"exit code {code}"
    return f"{what}: {detail}" if detail else what


@handles(ReleaseAttempt)
def release_attempt(state: State, cmd: ReleaseAttempt, at: Stamp) -> Outcome:
    """Take an attempt back from its worker; its job is ready again and spends no retry."""
    if cmd.cause not in _RELEASE_CAUSES:
        return Rejected("invalid", f"an attempt is released as {' or '.join(_RELEASE_CAUSES)}")
    attempt = state.attempts.get(cmd.attempt)
    if attempt is None:
        return NOT_LIVE
    run = state.runs[attempt.run]
    refusal = why_not_yet(state, run, run.jobs[attempt.job])
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    release(turn, attempt, cause=cmd.cause)
    return turn.done()


def release(turn: Turn, attempt: Attempt, *, cause: str) -> None:
    """Close an attempt that came to nothing and make its job ready again.

    A lost worker is no fault of the job's, until every worker that takes the job is lost: then the
    job is what kills them, and it stops here before it has gone round the whole cluster.
    """
    run = turn.state.runs[attempt.run]
    job = run.jobs[attempt.job]
    revoke(turn, attempt, cause=cause)
    service = service_life.service_of(run, job)
    if service is not None:
        service.machine = ""  # its process may live on there: another port is sure to be free
    losses = _lost_in_a_row(job, quick_ms=0 if service is None else SERVICE_LOSS_QUICK_MS)
    if cause == "lost" and losses and losses % LOSSES_IN_A_ROW_MAX == 0:
        reason = f"its worker was lost {LOSSES_IN_A_ROW_MAX} times in a row while it ran"
        jobs.end(turn, run, job, to=JobState.FAILED, reason=reason)
        jobs.settle(turn, run, [job])
    else:
        jobs.give_back(turn, run, job)
    jobs.refresh_run(turn, run)


def _lost_in_a_row(job: Job, *, quick_ms: int) -> int:
    """How many attempts in a row were lost, up to the last; within `quick_ms` of their start unless 0."""
    lost = 0
    for record in reversed(job.history):
        if record.cause != "lost" or 0 < quick_ms < record.ended_ms - record.assigned_ms:
            break
        lost += 1
    return lost


def revoke(turn: Turn, attempt: Attempt, *, cause: str) -> None:
    """Close an attempt that may still be running: its worker must kill it. The caller moves its job."""
    _close(turn, attempt, cause=cause, exit_code=-1)
    turn.events.append(AttemptRevoked(attempt.id, attempt.run, attempt.job, attempt.worker, cause))


def _close(
    turn: Turn,
    attempt: Attempt,
    *,
    cause: str,
    exit_code: int,
    detail: str = "",
    log_bytes: int = 0,
) -> None:
    """Take an attempt out of the state and write it into its job's history."""
    state = turn.state
    run = state.runs[attempt.run]
    job = run.jobs[attempt.job]
    worker = state.workers[attempt.worker]
    if attempt.claims:
        locks.attempt_is_over(turn, attempt)
    del state.attempts[attempt.id]
    del worker.live[attempt.id]
    vacate(worker.used, job)
    if attempt.port:
        ports.vacate(state, attempt)
    if job.id in run.services:
        service_life.down(turn, run.services[job.id], detail=detail)
    job.live = AttemptId(0)
    record = AttemptRecord(
        attempt.id,
        worker.id,
        attempt.assigned_ms,
        turn.at.now_ms,
        exit_code,
        cause,
        detail,
        log_bytes,
    )
    job.history = (*job.history, record)[-ATTEMPT_HISTORY_MAX:]


def _clip(text: str) -> str:
    """One reason for people, bounded in bytes."""
    if len(text) * 4 <= ERROR_TEXT_BYTES_MAX:
        return text
    return text.encode()[:ERROR_TEXT_BYTES_MAX].decode(errors="ignore")
