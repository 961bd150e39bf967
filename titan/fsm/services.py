"""Services by order: deploying one in place of another, stopping one, hearing of its health.

A replacement is in the log from beginning to end, so the leader that began it need not be there when it
ends. The version before stops only when the new one is healthy, unless both need the same port and no
other machine has it free: then it makes room first, and comes back if the new one comes to nothing.
"""

from __future__ import annotations

from titan.fsm import attempts, deployments, jobs, ports, runs, settling, timers
from titan.fsm.commands import DeployServices, SetServiceHealth, StopService, SubmitRun
from titan.fsm.events import JobChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.reasons import Reasons
from titan.fsm.records.services import HEALTHY, STARTING, UNHEALTHY, Deployment
from titan.fsm.state import Job, JobState, Run, State, Worker
from titan.ids import AttemptId, JobId, RunId
from titan.limits import ERROR_TEXT_BYTES_MAX, ROLLOUT_MS_MAX, SERVICES_DEPLOYED_MAX

_HEALTHS = (STARTING, HEALTHY, UNHEALTHY)


# --- health ---------------------------------------------------------------------------------------


@handles(SetServiceHealth)
def set_service_health(state: State, cmd: SetServiceHealth, at: Stamp) -> Outcome:
    """The first time it is healthy lets its dependants go, and finishes a replacement."""
    if cmd.health not in _HEALTHS or len(cmd.detail) * 4 > ERROR_TEXT_BYTES_MAX:
        return Rejected("invalid", f"health is one of {', '.join(_HEALTHS)}, in few words")
    attempt = state.attempts.get(cmd.attempt)
    if attempt is None:
        return attempts.NOT_LIVE
    run = state.runs[attempt.run]
    job = run.jobs[attempt.job]
    refusal = attempts.why_not_yet(state, run, job) or _why_not_replaced(state, run, job, cmd)
    if refusal is not None:
        return refusal
    service = run.services.get(attempt.job)
    if service is None:
        return Rejected("invalid", f"'{attempt.job}' is no service")
    if (service.health, service.detail) == (cmd.health, cmd.detail):
        return Applied()
    if cmd.health == STARTING != service.health:
        return Rejected("invalid", f"'{attempt.job}' has started: it is {service.health}")
    turn = Turn(state, at)
    if service.health != cmd.health:
        service.health_ms = at.now_ms
    service.health, service.detail = cmd.health, cmd.detail
    turn.events.append(JobChanged(run.id, job.id, job.state))
    if cmd.health == HEALTHY and not service.released:
        jobs.settle_early(turn, run, job)
        if deployments.is_candidate(state, run, job):
            _promote(turn, state.services[job.id])
    jobs.refresh_run(turn, run)
    return turn.done()


def _why_not_replaced(state: State, run: Run, job: Job, cmd: SetServiceHealth) -> Rejected | None:
    """Why the version that this one would replace cannot end just now: its run must be settled first."""
    if cmd.health != HEALTHY or not deployments.is_candidate(state, run, job):
        return None
    before = state.runs.get(state.services[job.id].current)
    return None if before is None else settling.why_not_now(state, before)


# --- stopping -------------------------------------------------------------------------------------


@handles(StopService)
def stop_service(state: State, cmd: StopService, at: Stamp) -> Outcome:
    """End it as COMPLETED, or as CANCELLED when it was never healthy: nobody ever had the service.
    Answers whether it ran until now."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    job = run.jobs.get(cmd.job)
    if job is None:
        return Rejected("unknown_job", f"run {cmd.run} has no job '{cmd.job}'")
    service = run.services.get(cmd.job)
    if service is None:
        return Rejected("invalid", f"'{cmd.job}' is no service; cancel it")
    refusal = settling.why_not_now(state, run)
    if refusal is not None:
        return refusal
    if job.state.is_over:
        return Applied(False)
    turn = Turn(state, at)
    if service.released:
        _end(turn, run, job, to=JobState.COMPLETED, reason="stopped")
    else:
        _end(turn, run, job, to=JobState.CANCELLED, reason="stopped before it was healthy")
    return turn.done(True)


def _end(turn: Turn, run: Run, job: Job, *, to: JobState, reason: str) -> None:
    """End a service, whatever it does now; its worker kills everything of it."""
    if job.live:
        attempts.revoke(turn, turn.state.attempts[job.live], cause="stopped")
    else:
        jobs.withdraw(turn, run, job)
    jobs.end(turn, run, job, to=to, reason=reason)
    jobs.settle(turn, run, [job])
    jobs.refresh_run(turn, run)


def of_worker(state: State, worker: Worker) -> list[AttemptId]:
    """The live attempts there that are services'."""
    return [
        number
        for number in worker.live
        if state.attempts[number].job in state.runs[state.attempts[number].run].services
    ]


def leave_worker(turn: Turn, worker: Worker) -> None:
    """The worker is to leave: its services stop here and start elsewhere, at once and without penalty."""
    for number in of_worker(turn.state, worker):
        attempts.release(turn, turn.state.attempts[number], cause="drained")


# --- replacing ------------------------------------------------------------------------------------


@handles(DeployServices)
def deploy_services(state: State, cmd: DeployServices, at: Stamp) -> Outcome:
    """Create the run and make its services candidates. Answers the run's id, also when it exists."""
    if cmd.run in state.runs:
        return Applied(cmd.run)
    names = [spec.id for spec in cmd.jobs if spec.type == "service"]
    refusal = _why_not(state, cmd, names)
    if refusal is not None:
        return refusal
    submit = SubmitRun(
        run=cmd.run,
        name=cmd.name,
        jobs=cmd.jobs,
        bundle=cmd.bundle,
        parameters=cmd.parameters,
        owner=cmd.owner,
    )
    made = runs.submit_run(state, submit, at)
    if isinstance(made, Rejected):
        return made
    turn = Turn(state, at, list(made.events))
    for name in names:
        _begin(turn, name, cmd)
    return turn.done(cmd.run)


def _why_not(state: State, cmd: DeployServices, names: list[JobId]) -> Rejected | None:
    if not names:
        return Rejected("invalid", "there is no service in it: a job of type 'service'")
    if not 1 <= cmd.wait_ms <= ROLLOUT_MS_MAX:
        return Rejected("invalid", f"wait_ms is 1 to {ROLLOUT_MS_MAX}")
    if len(state.services) + len(names) > SERVICES_DEPLOYED_MAX:
        return Rejected("too_large", f"at most {SERVICES_DEPLOYED_MAX} services are deployed")
    for name in names:
        refusal = _why_not_name(state, name)
        if refusal is not None:
            return refusal
    return None


def _why_not_name(state: State, name: JobId) -> Rejected | None:
    """Why no new version of this service may begin. Runs that it is about must be settled: one that is
    being cancelled may look alive."""
    known = state.services.get(name)
    if known is None:
        for run in [state.runs[each] for each in state.unsettled]:
            if name in run.services and settling.operation_at(state, run) is not None:
                return settling.why_not_now(state, run)  # it may be about to be reopened
        about = live_runs(state, name)
    else:
        about = [state.runs[each] for each in (known.candidate, known.current) if each]
    for run in about:
        refusal = settling.why_not_now(state, run)
        if refusal is not None:
            return refusal
    if known is not None and known.candidate:
        why = f"service '{name}' is being replaced by run {known.candidate}; stop that one first"
        return Rejected("rollout_in_progress", why)
    if known is None and len(about) > 1:
        where = ", ".join(run.id for run in about[:3])
        why = f"{len(about)} runs have a service '{name}' ({where}); stop all but one of them"
        return Rejected("ambiguous", why)
    return None


def live_runs(state: State, name: JobId) -> list[Run]:
    """The runs with a service of this name that has not ended, newest first."""
    return [
        run
        for run in reversed(state.runs.values())
        if name in run.services and not run.jobs[name].state.is_over
    ]


def _begin(turn: Turn, name: JobId, cmd: DeployServices) -> None:
    state = turn.state
    known = state.services.get(name)
    if known is None:
        before = next((run.id for run in live_runs(state, name) if run.id != cmd.run), RunId(""))
        known = state.services[name] = Deployment(name=name, current=before)
    known.candidate = cmd.run
    known.deadline_ms = turn.at.now_ms + cmd.wait_ms
    timers.set_timer(state, timers.ROLLOUT, name, due_ms=known.deadline_ms)
    if known.current:
        _make_room(turn, known)


def _make_room(turn: Turn, known: Deployment) -> None:
    """End the version before for a while, if the new one needs its port and cannot have it elsewhere."""
    state = turn.state
    run, new_run = state.runs[known.current], state.runs[known.candidate]
    job, new_job = run.jobs[known.name], new_run.jobs[known.name]
    old, new = run.services[known.name], new_run.services[known.name]
    if not new.port or new.port not in (old.port, old.bound):
        return
    if ports.others_free(state, new_job, port=new.port, machine=old.machine):
        return
    delay_ms = deployments.held_until_ms(known) - turn.at.now_ms
    if job.live:
        attempts.revoke(turn, state.attempts[job.live], cause="replaced")
        jobs.give_back(turn, run, job, delay_ms=delay_ms)
    elif not job.waiting_for and not job.unpaid:
        jobs.hold_again(turn, run, job, delay_ms=delay_ms)
    if job.state is JobState.PENDING:
        job.reason = f"makes room for run {known.candidate}"
    jobs.refresh_run(turn, run)


def _promote(turn: Turn, known: Deployment) -> None:
    """The candidate is healthy: from now on it is the service, and the version before ends."""
    before, known.current = known.current, known.candidate
    known.candidate, known.deadline_ms = RunId(""), 0
    if before:
        run = turn.state.runs[before]
        reason = f"replaced by run {known.current}"
        _end(turn, run, run.jobs[known.name], to=JobState.COMPLETED, reason=reason)


def rollout_due(turn: Turn, name: JobId) -> None:
    """The candidate's time is up: it ends, and the version before stays or comes back."""
    known = turn.state.services[name]
    run = turn.state.runs[known.candidate]
    job, service = run.jobs[name], run.services[name]
    reason = "it was not healthy in time"
    why = service.detail or ("" if job.live else Reasons(turn.state).of(run, job))
    if why:
        reason += f": {why}"
    reason += deployments.who_stays(turn.state, run, job)
    _end(turn, run, job, to=JobState.FAILED, reason=reason)
