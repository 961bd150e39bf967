"""What must be true of every state: recomputes each index from the records and compares.

For tests and for masters that are told to check themselves; far too slow for every entry in production.
An `AssertionError` names the object, says what is wrong with it and tells its history.
"""

from __future__ import annotations

from collections.abc import Sequence

from titan import limits
from titan.fsm import settling, timers
from titan.fsm.file_invariants import validate_files
from titan.fsm.invariants_audit import validate_orders
from titan.fsm.invariants_budgets import validate_budgets
from titan.fsm.invariants_coordination import validate_locks, validate_mail
from titan.fsm.invariants_mutation import validate_dead, validate_histories
from titan.fsm.kin import subrun_of
from titan.fsm.occupancy import occupy
from titan.fsm.policy import asks_first, decode_spec, policy_of
from titan.fsm.records.pools import AWAITED, JOINED, LAUNCH_STATES
from titan.fsm.records.unsettled import CancellingJob
from titan.fsm.service_invariants import validate_services
from titan.fsm.standing import is_over, run_state
from titan.fsm.state import Job, JobState, Run, State, Timer, Worker, is_ready
from titan.fsm.triggers import Verdict, as_parent, assess, fires_early, has_settled
from titan.fsm.unattended import asks_for_worker
from titan.fsm.workers import MODES
from titan.ids import JobId, RunId


def validate(state: State) -> None:
    """Raise `AssertionError` unless everything in the state agrees with everything else."""
    counted = {
        (timer.kind, timer.key): timer.due_ms
        for timer in state.timers
        if timers.counts(state, timer)
    }
    for unsettled in state.unsettled.values():
        for row in unsettled.parked:
            if timers.counts(state, Timer(*row)):
                counted[row[2], row[3]] = row[0]
    _validate_timers(state)
    _validate_unsettled(state)
    seqs: list[int] = []
    for run in (*state.runs.values(), *(stage.run for stage in state.stages.values())):
        _validate_run(run)
        _validate_edges(run)
        untold = _untold(state, run)
        for job in run.jobs.values():
            _validate_job(state, run, job)
            if untold is not None:
                _validate_waiting(run, job, untold=untold.get(job.id, ()))
            _validate_job_timers(counted, run, job)
            seqs.append(job.seq)
    assert len(dict.fromkeys(seqs)) == len(seqs), "two jobs share a number"
    assert max(seqs, default=0) < state.next_job_seq, "next_job_seq was drawn already"
    _validate_attempts(state)
    for worker in state.workers.values():
        _validate_worker(state, worker, counted)
    _validate_kv(state, counted)
    _validate_sessions(state, counted)
    _validate_stages(state, counted)
    _validate_over(state, counted)
    validate_locks(state, counted)
    validate_mail(state)
    validate_files(state, counted)
    _validate_families(state, counted)
    _validate_pipelines(state)
    _validate_pools(state, counted)
    validate_services(state, counted)
    validate_histories(state)
    validate_dead(state)
    validate_orders(state)
    validate_budgets(state, counted)
    assert all(run.jobs for run in state.runs.values()), "a run has no jobs"


def _about(run: Run, job: Job, wrong: str) -> str:
    history = "; ".join(
        f"#{record.attempt} on {record.worker} {record.assigned_ms}-{record.ended_ms} ms: "
        f"{record.cause or 'ended'} ({record.exit_code})"
        for record in job.history
    )
    return (
        f"job {run.id}/{job.id} {wrong}: {job.state.value}, attempts {job.attempts}, "
        f"retries {job.retries_used}, live {job.live}, waits for {job.waiting_for} of "
        f"{len(job.parents)}, not before {job.not_before_ms}, reason '{job.reason}', "
        f"history [{history}]"
    )


def _validate_run(run: Run) -> None:
    counts: dict[JobState, int] = {}
    for job in run.jobs.values():
        counts[job.state] = counts.get(job.state, 0) + 1
    assert run.counts == counts, f"run {run.id} counts {run.counts}, its jobs are {counts}"
    assert run.state is run_state(run), f"run {run.id} says {run.state}, it is {run_state(run)}"
    assert is_over(run) == bool(run.ended_ms), f"run {run.id} ended at {run.ended_ms}: {counts}"


def _validate_edges(run: Run) -> None:
    children: dict[JobId, list[JobId]] = {}
    for job in run.jobs.values():
        for parent in job.parents:
            assert parent in run.jobs, _about(run, job, f"has an unknown parent '{parent}'")
            children.setdefault(parent, []).append(job.id)
    for job in run.jobs.values():
        expected = sorted(children.get(job.id, []))
        assert sorted(job.children) == expected, _about(run, job, f"has children {job.children}")


def _validate_job(state: State, run: Run, job: Job) -> None:
    numbers = (
        job.attempts,
        job.retries_used,
        job.live,
        job.not_before_ms,
        job.queue_due_ms,
        job.started_ms,
        job.ended_ms,
        job.waiting_for,
    )
    assert min(numbers) >= 0, _about(run, job, "has a negative number")
    assert len(job.history) <= limits.ATTEMPT_HISTORY_MAX, _about(run, job, "remembers too much")
    assert len(job.history) <= job.attempts, _about(run, job, "ended more often than it started")
    _validate_unattended(state, run, job)
    assert job.state.is_over == bool(job.ended_ms), _about(run, job, f"ended at {job.ended_ms}")
    assert job.waiting_for <= len(job.parents), _about(run, job, "waits for strangers")
    if job.state is not JobState.PENDING:
        assert not job.not_before_ms, _about(run, job, "is held though it is not pending")
        assert not job.queue_due_ms, _about(run, job, "may time out though it is not pending")
    if job.live:
        attempt = state.attempts.get(job.live)
        assert attempt is not None, _about(run, job, "has no such attempt")
        assert (attempt.run, attempt.job) == (run.id, job.id), _about(run, job, "stole an attempt")


def _validate_unattended(state: State, run: Run, job: Job) -> None:
    """What gates and sub-runs look like from outside, and that nobody else looks like that."""
    is_running = job.state is JobState.RUNNING
    if asks_for_worker(job):
        assert is_running == bool(job.live), _about(run, job, "lives falsely")
        assert job.state is not JobState.WAITING, _about(run, job, "waits for people")
        assert job.id not in run.gates, _about(run, job, "is no gate")
        return
    assert not job.live, _about(run, job, "has an attempt")
    is_between = run.id not in state.runs or settling.operation_at(state, run) is not None
    assert is_between or not is_ready(job), _about(run, job, "wants a worker")
    gate = run.gates.get(job.id)
    if job.state is JobState.WAITING:
        assert gate is not None, _about(run, job, "waits and was never opened")
    if is_running:
        assert decode_spec(job).type == "pipeline", _about(run, job, "is a gate")
        child = state.runs.get(subrun_of(run, job))
        assert child is not None, _about(run, job, "has no run")
        assert (child.parent_run, child.parent_job) == (run.id, job.id), f"run {child.id} is stray"
        assert not child.ended_ms or child.id in state.kin, f"nobody hears of the end of {child.id}"


def _untold(state: State, run: Run) -> dict[JobId, list[JobId]] | None:
    """Job → those of its parents that ended and that it has not heard of yet. None when only the end of
    an operation will make sense of the run."""
    unsettled = state.unsettled.get(run.id)
    if unsettled is None:
        return {}
    operation = unsettled.operation
    silent: list[JobId] = []
    if isinstance(operation, CancellingJob):
        lines = [(operation.parents, operation.child)]
        silent = [name for name in operation.parents if has_settled(run, run.jobs[name])]
    elif operation is not None:
        return None
    else:
        lines = [(telling.parents, telling.child) for telling in unsettled.tellings]
    untold: dict[JobId, list[JobId]] = {}
    for parents, told in lines:
        for place, name in enumerate(parents):
            if name in silent:
                continue  # its children heard of it when it was healthy
            for child in run.jobs[name].children[0 if place else told :]:
                untold.setdefault(child, []).append(name)
    return untold


def _validate_waiting(run: Run, job: Job, *, untold: Sequence[JobId]) -> None:
    """What the job waits for, given what it has heard."""
    known = [as_parent(run, run.jobs[name]) for name in job.parents if name not in untold]
    if any(fires_early(job.trigger, state) for state in known):
        waiting = 0
    else:
        waiting = len(untold) + sum(not state.is_over for state in known)
    assert job.waiting_for == waiting, _about(run, job, "miscounts its parents")
    if job.state is JobState.PENDING:
        found = assess(run, job, as_pending=untold)
        assert found.verdict is not Verdict.NEVER, _about(run, job, "can never start")
        has_go = found.verdict is Verdict.HOLDS
        assert has_go == (job.waiting_for == 0), _about(run, job, f"is told: {found.verdict}")
        assert has_go or not job.not_before_ms, _about(run, job, "is held before its time")


def _validate_unsettled(state: State) -> None:
    for run_id, unsettled in state.unsettled.items():
        run = state.runs.get(run_id)
        assert run is not None, f"something is under way at run {run_id}, which does not exist"
        name = f"run {run_id}, where {settling.about(unsettled)} is under way"
        operation, tellings = unsettled.operation, unsettled.tellings
        assert (operation is None) == bool(tellings), f"{name}: with {len(tellings)} tellings"
        others = (timers.KIN, timers.ASK, timers.PAY) if unsettled.is_wanted else (timers.KIN,)
        kept = [row[2] for row in unsettled.parked if operation or row[2] not in others]
        assert operation is not None or not kept, f"{name}: nothing keeps its timers"
        assert 0 < unsettled.last_ms <= state.now_ms, f"{name}: {unsettled.last_ms} ms"
        for telling in tellings:
            assert telling.parents, f"{name}: a telling is over"
            for parent in telling.parents:
                told = as_parent(run, run.jobs[parent])
                assert told.is_over, _about(run, run.jobs[parent], "is told of")


def _validate_job_timers(
    counted: dict[tuple[str, tuple[str, ...]], int], run: Run, job: Job
) -> None:
    key = (run.id, job.id)
    if job.not_before_ms:
        due_ms = counted.get((timers.JOB, key))
        if asks_first(job) and due_ms != job.not_before_ms:
            due_ms = counted.get((timers.ASK, key))
        assert due_ms == job.not_before_ms, _about(run, job, f"is woken at {due_ms}")
    if job.state is JobState.WAITING:
        due_ms = counted.get((timers.GATE, key))
        assert due_ms == run.gates[job.id].due_ms, _about(run, job, f"gives up at {due_ms}")
    if job.queue_due_ms:
        assert is_ready(job), _about(run, job, "may time out though it is not ready")
        due_ms = counted.get((timers.QUEUE, key))
        assert due_ms == job.queue_due_ms, _about(run, job, f"times out at {due_ms}")


def _validate_attempts(state: State) -> None:
    for number, attempt in state.attempts.items():
        name = f"attempt {number} of {attempt.run}/{attempt.job} on {attempt.worker}"
        assert number == attempt.id, f"{name} is filed wrongly"
        assert 0 < number < state.next_attempt, f"{name} was never drawn"
        assert 0 < attempt.fence <= state.index, f"{name} has fence {attempt.fence}"
        job = state.job(attempt.run, attempt.job)
        assert job is not None, f"{name} has no job"
        assert job.live == number, f"{name}: its job runs attempt {job.live}"
        assert job.attempts == attempt.number, f"{name} is number {attempt.number}"
        worker = state.workers.get(attempt.worker)
        assert worker is not None, f"{name}: its worker is unknown"
        assert worker.online, f"{name}: its worker is gone"
        assert worker.incarnation == attempt.incarnation, f"{name} is of another life"
        assert number in worker.live, f"{name}: its worker does not know it"


def _validate_worker(
    state: State, worker: Worker, counted: dict[tuple[str, tuple[str, ...]], int]
) -> None:
    name = f"worker {worker.id} ('{worker.name}', life {worker.incarnation})"
    used: dict[str, int] = {}
    for number in worker.live:
        attempt = state.attempts.get(number)
        assert attempt is not None, f"{name} holds attempt {number}, which is not live"
        assert attempt.worker == worker.id, f"{name} holds attempt {number} of {attempt.worker}"
        occupy(used, state.runs[attempt.run].jobs[attempt.job])
    assert worker.used == used, f"{name} says it uses {worker.used}, its attempts use {used}"
    assert list(worker.live) == sorted(worker.live), f"{name} lost the order of its attempts"
    assert worker.mode in MODES, f"{name} is '{worker.mode}'"
    if worker.drain_due_ms:
        assert worker.mode == "draining", f"{name} is to be cleared out though it stays"
        due_ms = counted.get((timers.DRAIN, (worker.id,)))
        assert due_ms == worker.drain_due_ms, f"{name} is cleared out at {due_ms}"
    if not worker.online:
        assert not worker.drain_due_ms, f"{name} is gone and waits to be cleared out"
        assert not worker.live, f"{name} is gone and still holds {list(worker.live)}"
        due_ms = counted.get((timers.WORKER, (worker.id,)))
        assert due_ms == worker.expired_ms + limits.WORKER_FORGET_MS, f"{name} is never forgotten"


def _validate_kv(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    for key, item in state.kv.items():
        assert item.members is None or item.members, f"key '{key}' is an empty set"
        assert item.version > 0, f"key '{key}' has version {item.version}"
        if item.expires_ms:
            due_ms = counted.get((timers.KV, (key,)))
            assert due_ms == item.expires_ms, f"key '{key}' expires at {due_ms}"


def _validate_sessions(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    assert len(state.sessions) <= limits.SESSIONS_MAX, "too many sessions"
    last_ms = 0
    for client, session in state.sessions.items():
        assert last_ms <= session.last_ms, f"session {client} is out of the order of use"
        last_ms = session.last_ms
        assert len(session.results) <= limits.SESSION_RESULTS_MAX, f"session {client} is too long"
        assert all(request >= session.floor for request in session.results), f"{client}: floor"
        due_ms = counted.get((timers.SESSION, (client,)))
        assert due_ms == session.expires_ms, f"session {client} is never forgotten"


def _validate_stages(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    size = sum(stage.size for stage in state.stages.values())
    assert state.staged_bytes == size, f"{size} bytes are staged, not {state.staged_bytes}"
    assert size <= limits.STAGED_BYTES_MAX, f"{size} bytes are staged"
    for run, stage in state.stages.items():
        assert run == stage.run.id, f"the stage of {run} is filed wrongly"
        assert run not in state.runs, f"run {run} exists and is still staged"
        due_ms = counted.get((timers.STAGE, (run,)))
        assert due_ms == stage.expires_ms, f"the stage of {run} is never dropped"
        assert len(stage.ahead) <= limits.STAGE_PARTS_AHEAD_MAX, f"{run}: too far ahead"
        is_stuck = stage.next_part in stage.ahead
        assert is_stuck == (stage.refusal is not None), f"{run}: part {stage.next_part} waits"
        roots: list[JobId] = []
        for job in stage.run.jobs.values():
            assert job.state is JobState.PENDING, _about(stage.run, job, "started too early")
            assert not job.not_before_ms, _about(stage.run, job, "is held too early")
            assert not job.queue_due_ms, _about(stage.run, job, "times out too early")
            if asks_first(job):
                continue
            if not job.parents and not policy_of(job).delay_ms and asks_for_worker(job):
                roots.append(job.id)
        assert stage.roots == roots, f"the roots of {run} are {roots}, not {stage.roots}"


def _validate_over(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    ended = [run for run in state.runs.values() if run.ended_ms]
    over = {run.id: len(run.jobs) for run in ended if run.root not in state.runs}
    under = {run.id: len(run.jobs) for run in ended if run.root in state.runs}
    assert state.over == over, f"the runs that are over are {over}, not {state.over}"
    assert state.under == under, f"the sub-runs that are over are {under}, not {state.under}"
    total = sum(over.values()) + sum(under.values())
    assert state.over_jobs == total, f"they have {total} jobs, not {state.over_jobs}"
    ends = [state.runs[run].ended_ms for run in state.over]
    assert ends == sorted(ends), f"runs are out of the order of their ends: {ends}"
    if state.over:
        due_ms = counted.get((timers.FORGET, ()))
        assert due_ms == state.forget_due_ms, "finished runs are never forgotten"
        assert due_ms, "finished runs are never forgotten"
        at_most_ms = max(ends[0] + state.retention.keep_ms, state.now_ms + 1)
        assert due_ms <= at_most_ms, f"{state.over} are forgotten too late"


def _validate_families(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    families: dict[RunId, dict[RunId, None]] = {}
    for run in state.runs.values():
        assert run.depth or not run.root, f"run {run.id} at depth {run.depth}: {run.root}"
        assert not run.root or run.root in state.runs, f"the root of {run.id} was forgotten"
        assert run.depth <= limits.SUBRUN_DEPTH_MAX, f"run {run.id} is at depth {run.depth}"
        if run.root in state.runs:
            families.setdefault(run.root, {})[run.id] = None
    assert state.families == families, f"the families are {families}, not {state.families}"
    for name, kin in state.kin.items():
        due_ms = counted.get((timers.KIN, (name,)))
        assert due_ms == kin.due_ms, f"run {name} and its parent are looked at {due_ms}"


def _validate_pipelines(state: State) -> None:
    size = 0
    for name, saved in state.pipelines.items():
        assert name == saved.name, f"pipeline '{name}' is filed as '{saved.name}'"
        numbers = list(saved.versions)
        assert numbers, f"pipeline '{name}' has no version"
        assert numbers == sorted(numbers), f"pipeline '{name}' has {numbers}"
        assert numbers[-1] < saved.next_version, f"pipeline '{name}' has {numbers}"
        assert len(numbers) <= limits.PIPELINE_VERSIONS_MAX, f"pipeline '{name}': too many"
        size += sum(version.size for version in saved.versions.values())
    assert state.pipelines_bytes == size, f"{size} bytes, not {state.pipelines_bytes}"


def _validate_pools(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    for name, pool in state.pools.items():
        assert name == pool.name, f"pool {name} is filed wrongly"
        mine = [launch for launch in state.launches.values() if launch.pool == name]
        assert mine or not pool.is_removed, f"pool {name} was removed and is still here"
        assert pool.provider == "webhook" or not pool.secret, f"pool {name} has a secret"
    for launch in state.launches.values():
        name = f"launch {launch.id} of pool {launch.pool}"
        assert launch.pool in state.pools, f"{name} has no pool"
        assert launch.state in LAUNCH_STATES, f"{name} is '{launch.state}'"
        worker = state.workers.get(launch.worker)
        if launch.state == JOINED:
            assert worker is not None, f"{name} has lost its worker"
            assert worker.online, f"{name} has a worker that is gone"
            assert worker.launch == launch.id, f"{name}: its worker is of '{worker.launch}'"
        elif launch.state in AWAITED:
            assert not launch.worker, f"{name} has worker {launch.worker} already"
            due_ms = counted.get((timers.LAUNCH, (launch.id,)))
            assert due_ms == launch.due_ms, f"{name} fails at {due_ms}"


def _validate_timers(state: State) -> None:
    heap = state.timers
    for place in range(1, len(heap)):
        assert heap[(place - 1) // 2] <= heap[place], f"timer {heap[place]} is out of heap order"
    seqs = [timer.seq for timer in heap]
    assert len(dict.fromkeys(seqs)) == len(seqs), "two timers share a number"
    drawn = [seq & timers.IN_TURN for seq in seqs]
    assert max(drawn, default=0) < state.next_timer_seq, "next_timer_seq was drawn already"
