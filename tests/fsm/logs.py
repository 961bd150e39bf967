"""Random logs that get somewhere: each step looks at the state so far, so that most commands meet it.

A step is a move and a number; the number seeds the dice of that move alone. So a log is a plain list that
hypothesis can shorten, and a fixed seed gives the same log in every process.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from tests.fsm.driver import START_MS, call, gate, job
from titan import limits
from titan.fsm import commands as c
from titan.fsm.commands import ENTRY_FORMAT, Command, Entry, Proposal, encode_entry
from titan.fsm.commands import mutation as m
from titan.fsm.handling import UNBOUNDED
from titan.fsm.machine import Machine
from titan.fsm.records.pools import AWAITED
from titan.fsm.state import Job, JobState, Run, State, is_ready
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.limits import FINISHED_KEEP_MS
from titan.spec.budgets import NO_LIMIT, BudgetSpec
from titan.spec.manifest import FileEntry, Manifest, manifest_of
from titan.spec.model import (
    CATCHUPS,
    OVERLAPS,
    TRIGGERS,
    Approvers,
    BlobRef,
    Call,
    Input,
    JobSpec,
    ScheduleSpec,
)
from titan.spec.service import RestartSpec

Dice = random.Random
RUNS = [RunId(f"r-{n}") for n in range(4)]
JOBS = [JobId(name) for name in "abcdefghij"]
DIGESTS = [Digest(two * 32) for two in ("ab", "cd", "ef")]
LABELS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"team": "data"},
    {"team": "web", "v": ""},
    {"no key": "x"},
)
PIPELINES = ["p", "q"]
AGENTS = ["x", "y"]
WORKERS = [WorkerId(f"w{n}") for n in range(3)]


def _spec(dice: Dice, job_id: str, parents: Sequence[str]) -> JobSpec:
    if dice.random() < 0.2:
        return _service(dice, job_id, parents)
    if dice.random() < 0.1:
        large = dice.choice([(), (BlobRef(DIGESTS[2], 3),), (BlobRef(DIGESTS[0], 3),) * 2])
        called = Call("m", "f", b"x", inputs=tuple(map(JobId, parents)), blobs=large)
        return job(job_id, *parents, argv=(), call=called, retries=dice.choice([0, 1]))
    return job(
        job_id,
        *parents,
        trigger=dice.choice(TRIGGERS),
        retries=dice.choice([0, 1, 2]),
        retry_backoff_ms=dice.choice([0, 1000]),
        delay_ms=dice.choice([0, 0, 0, 700]),
        queue_timeout_ms=dice.choice([0, 0, 0, 3000]),
        no_retry_exit_codes=dice.choice([(), (2,)]),
        resources=dice.choice([{}, {}, {}, {"gpus": 1}, {"slots": 0}]),
        bundle=dice.choice([Digest(""), Digest(""), DIGESTS[1]]),
    )


def _gate(dice: Dice, job_id: str, parents: Sequence[str]) -> JobSpec:
    return gate(
        job_id,
        *parents,
        trigger=dice.choice(TRIGGERS),
        max_wait_ms=dice.choice([500, 3000, 600_000]),
        delay_ms=dice.choice([0, 0, 700]),
        approvers=dice.choice([Approvers(), Approvers(count=2), Approvers(users=("ann",))]),
        form=dice.choice([{}, {"n": Input("int", required=True)}, {"s": Input(default="x")}]),
        gate_of=JobId(dice.choice(["", *parents])) if job_id.startswith("hitl") else JobId(""),
    )


def _subrun(dice: Dice, job_id: str, parents: Sequence[str]) -> JobSpec:
    return call(
        job_id,
        dice.choice([*PIPELINES, "absent"] if dice.random() < 0.1 else PIPELINES),
        *parents,
        trigger=dice.choice(TRIGGERS),
        delay_ms=dice.choice([0, 0, 700]),
        pipeline_version=dice.choice([0] * 8 + [1, 7]),
        parameters=dice.choice([{}, {}, {}, {}, {"p": 1}, {"q": 1}]),
    )


def _any(dice: Dice, job_id: str, parents: Sequence[str]) -> JobSpec:
    """A job of any type; most of them run somewhere."""
    spec = _of_any_type(dice, job_id, parents)
    if spec.type == "run" and dice.random() < 0.12:
        spec = msgspec.structs.replace(spec, **_foreach(dice, parents))
    if dice.random() < 0.12:
        spec = msgspec.structs.replace(spec, when=_when(dice, spec, parents))
    return spec


def _foreach(dice: Dice, parents: Sequence[str]) -> dict[str, Any]:
    if parents and dice.random() < 0.6:
        return {"foreach": f"outputs.{dice.choice(parents)}"}
    return {"foreach_items": dice.choice([b"[]", b"[1]", b"[1,2,3]", b'["a",{"b":[2]},3,4,5,6,7]'])}


def _when(dice: Dice, spec: JobSpec, parents: Sequence[str]) -> str:
    """A condition that is true, false or without an answer; now and then one to be refused."""
    known = ["params.p == 2", "True", "True", "0"]
    if spec.foreach or spec.foreach_items or dice.random() < 0.02:
        known += ["item != 2"] * 3
    for name in parents:
        known += [f"states.{name} == 'COMPLETED'", f"outputs.{name} != 'out'"]
    return dice.choice([*known, "outputs.nobody"] if dice.random() < 0.05 else known)


def _of_any_type(dice: Dice, job_id: str, parents: Sequence[str]) -> JobSpec:
    kind = dice.random()
    if kind < 0.07:
        return _gate(dice, job_id, parents)
    return _subrun(dice, job_id, parents) if kind < 0.17 else _spec(dice, job_id, parents)


def _service(dice: Dice, job_id: str, parents: Sequence[str]) -> JobSpec:
    return job(
        job_id,
        *parents,
        type="service",
        trigger=dice.choice(TRIGGERS),
        port=dice.choice([0, 0, 8080, 31_001]),
        delay_ms=dice.choice([0, 0, 0, 700]),
        queue_timeout_ms=dice.choice([0, 0, 0, 3000]),
        resources={"slots": 0},
        restart=dice.choice([None, RestartSpec(backoff_ms=400), RestartSpec(limit=1)]),
    )


def _graph(dice: Dice, known: Sequence[str], names: Sequence[str]) -> tuple[JobSpec, ...]:
    """Jobs with parents before them; now and then one that must be refused."""
    made: list[JobSpec] = []
    above = list(known)
    for name in names:
        pool = JOBS if dice.random() < 0.01 else above
        parents = dice.sample(pool, min(len(pool), dice.choice([0, 1, 1, 2, 3])))
        made.append(_any(dice, name, parents))
        above.append(name)
    return tuple(made)


def _limits(dice: Dice) -> BudgetSpec | None:
    """Tight ones, so that they are met."""
    if dice.random() < 0.5:
        return None
    return BudgetSpec(
        jobs=dice.choice([None, 1, 3, 6, 12]),
        depth=dice.choice([None, None, 0, 1]),
        wall_ms=dice.choice([None, None, None, 2500]),
        cpu_ms=dice.choice([None, None, None, 2]),
        units=dice.choice([{}, {"u": 5}]),
        on_limit=dice.choice(["", "queue", "queue", "gate"]),
    )


def _set_budget(state: State, dice: Dice) -> Command:
    names = [*state.budgets, *(f"agent:{name}" for name in AGENTS)]
    jobs = dice.choice([None, 2, 9, 20, NO_LIMIT])
    if dice.random() < 0.5:
        limit = _limits(dice) or BudgetSpec(jobs=jobs)
    else:
        limit = BudgetSpec(jobs=jobs, wall_ms=dice.choice([None, None, 9000, NO_LIMIT]))
    return c.SetBudget(budget=dice.choice(names), limit=limit)


def _spend(state: State, dice: Dice) -> Command:
    return c.Spend(unit=dice.choice("uuv"), amount=dice.choice([1, 1, 2, 4, -1]))


def _submit(state: State, dice: Dice) -> Command:
    run = dice.choice(RUNS)
    names = dice.sample(JOBS, dice.randrange(1, len(JOBS)))
    stage = state.stages.get(run)
    known = list(stage.run.jobs) if stage else []
    parts = stage.next_part if stage else 0
    if dice.random() < 0.1:
        parts = dice.randrange(3)
    bundle = dice.choice([Digest(""), DIGESTS[0]])
    return c.SubmitRun(
        run=run,
        name="n",
        jobs=_graph(dice, known, names),
        parts=parts,
        bundle=bundle,
        budget=_limits(dice),
        agent_run_id=dice.choice(["", "", *AGENTS]),
        labels=dice.choice(LABELS),
    )


def _stage(state: State, dice: Dice) -> Command:
    """The next part, with parents in the parts before; now and then one out of turn, or a cycle."""
    run = dice.choice([run for run in RUNS if run not in state.runs] or RUNS)
    stage = state.stages.get(run)
    part = stage.next_part if stage else 0
    known = list(stage.run.jobs) if stage else []
    if dice.random() < 0.2:
        part = max(0, part + dice.choice([-1, 1, 1, 2, 3, 4]))
    names = [f"s{part}-{n}" for n in range(dice.randrange(4))]
    jobs = _graph(dice, known, names)
    if len(jobs) > 1 and dice.random() < 0.05:
        jobs = (_spec(dice, jobs[0].id, [jobs[-1].id]), *jobs[1:])
    return c.StageJobs(run=run, part=part, jobs=jobs)


def _add(state: State, dice: Dice) -> Command:
    run = dice.choice(list(state.runs) or RUNS)
    known = list(state.runs[run].jobs) if run in state.runs else []
    names = [f"{dice.choice(JOBS)}{dice.randrange(99)}" for _ in range(dice.randrange(3))]
    if dice.random() < 0.2:
        names.append(f"hitl-gate-{dice.choice(JOBS)}")
    return c.AddJobs(run=run, jobs=_graph(dice, known, names))


def _some_job(state: State, dice: Dice, *, over: bool) -> tuple[RunId, JobId]:
    found = [
        (run.id, job.id)
        for run in state.runs.values()
        for job in run.jobs.values()
        if job.state.is_over == over
    ]
    return dice.choice(found or [(RUNS[0], JOBS[0])])


def _cancel(state: State, dice: Dice) -> Command:
    run, job_id = _some_job(state, dice, over=dice.random() < 0.1)
    if dice.random() < 0.1:
        return c.CancelRun(run=run)
    return c.CancelJob(run=run, job=job_id)


def _retry(state: State, dice: Dice) -> Command:
    run, job_id = _some_job(state, dice, over=dice.random() < 0.95)
    return c.RetryJob(run=run, job=job_id)


def _mutate(state: State, dice: Dice) -> Command:
    """Edits of one run, most of which fit; now and then a cycle, a stale revision, a contradiction."""
    run = state.runs.get(dice.choice(list(state.runs) or RUNS))
    if run is None:
        return c.MutateRun(run=RUNS[0], edits=(m.RerunFailed(),))
    edits = tuple(_edit(run, dice) for _ in range(dice.choice([1, 1, 2, 3])))
    revision = dice.choice([0, 0, run.revision, run.revision - 1])
    return c.MutateRun(run=run.id, edits=edits, if_revision=revision, by="me", note="why")


def _edit(run: Run, dice: Dice) -> m.AnyEdit:
    kind = dice.randrange(11)
    pending = [job for job in run.jobs.values() if job.state is JobState.PENDING]
    over = [job for job in run.jobs.values() if job.state.is_over]
    some = dice.choice(list(run.jobs.values()))
    wanted = dice.choice(pending or [some]) if dice.random() < 0.9 else some
    if kind < 2:
        names = [f"{dice.choice(JOBS)}{dice.randrange(99)}" for _ in range(dice.randrange(1, 3))]
        return m.Add(jobs=_graph(dice, list(run.jobs), names))
    if kind < 5:
        return m.Change(job=wanted.id, set=_fields(run, wanted, dice))
    if kind == 5:
        return m.Skip(job=wanted.id)
    if kind == 6:
        return m.Cancel(job=some.id)
    if kind == 7:
        where = dice.choice([None, ("GENERAL",), ("GPU",)])
        return m.Reroute(job=some.id, requirement=where, restart=dice.random() < 0.8)
    if kind == 8:
        only_if = dice.choice(["", "DEAD", "SKIPPED"])
        return m.Rerun(job=dice.choice(over or [some]).id, only_if=only_if)
    return m.RerunFailed() if kind == 9 else m.Undo()


def _fields(run: Run, job: Job, dice: Dice) -> m.Fields:
    if dice.random() < 0.3:
        return m.Fields(priority=dice.randrange(3), retries=dice.choice([0, 2]))
    if dice.random() < 0.3:
        return m.Fields(resources=dice.choice([{}, {"gpus": 1}]), requirement=("GENERAL",))
    older = [other.id for other in run.jobs.values() if other.seq < job.seq]
    pool = list(run.jobs) if dice.random() < 0.3 else older
    return m.Fields(depends_on=tuple(dice.sample(pool, min(len(pool), dice.choice([0, 1, 2])))))


def _join(state: State, dice: Dice) -> Command:
    worker = dice.choice(WORKERS)
    held = list(state.workers[worker].live) if worker in state.workers else []
    awaited = ""
    if dice.random() < 0.4:
        coming = [one.id for one in state.launches.values() if one.state in AWAITED]
        awaited = dice.choice(coming or [*state.launches, "l-none"])
    return c.JoinWorker(
        worker=worker,
        incarnation=dice.randrange(1, 4),
        capabilities=("GENERAL",),
        slots=dice.randrange(1, 3),
        resources=dice.choice([{}, {"gpus": 2}]),
        holds=tuple(dice.sample([*held, AttemptId(9999)], dice.randrange(len(held) + 1))),
        ephemeral=bool(awaited) or dice.random() < 0.3,
        launch=awaited,
    )


def _expire(state: State, dice: Dice) -> Command:
    worker = dice.choice(WORKERS)
    known = state.workers.get(worker)
    incarnation = known.incarnation if known and dice.random() < 0.8 else 0
    cause = dice.choice(["silent", "left"])
    return c.ExpireWorker(worker=worker, incarnation=incarnation, cause=cause)


def _mode(state: State, dice: Dice) -> Command:
    mode = dice.choice(["open", "open", "draining"])
    timeout_ms = dice.choice([None, 0, 900]) if mode == "draining" else None
    return c.SetWorkerMode(worker=dice.choice(WORKERS), mode=mode, timeout_ms=timeout_ms)


def _pool(state: State, dice: Dice) -> Command:
    name = dice.choice(["p", "q"])
    if dice.random() < 0.1:
        return c.RemovePool(name=name)
    url = dice.choice(["", "", "http://127.0.0.1:1/hook"])
    return c.SetPool(
        name=name,
        provider="webhook" if url else "local",
        url=url,
        secret="s" if url else "",
        workers_min=dice.choice([0, 0, 1]),
        workers_max=dice.choice([1, 2, 3]),
        register_ms=dice.choice([800, 60_000]),
    )


def _launch(state: State, dice: Dice) -> Command:
    names = tuple(f"l-{dice.randrange(99)}" for _ in range(dice.choice([1, 1, 2])))
    return c.RecordLaunch(pool=dice.choice(["p", "q"]), launches=names)


def _settle(state: State, dice: Dice) -> Command:
    launch = dice.choice([*state.launches, "l-none"])
    outcome = dice.choice(["started", "started", "failed", "ended"])
    return c.SettleLaunch(launch=launch, outcome=outcome, why="no")


def _retire(state: State, dice: Dice) -> Command:
    worker = dice.choice(WORKERS)
    known = state.workers.get(worker)
    return c.RetireWorker(worker=worker, incarnation=known.incarnation if known else 0)


def _assign(state: State, dice: Dice) -> Command:
    ready = [
        (run.id, job.id)
        for run in state.runs.values()
        for job in run.jobs.values()
        if is_ready(job) or dice.random() < 0.02
    ]
    run, job_id = dice.choice(ready or [(RUNS[0], JOBS[0])])
    online = [worker.id for worker in state.workers.values() if worker.online]
    return c.AssignAttempt(run=run, job=job_id, worker=dice.choice(online or WORKERS))


def _some_attempt(state: State, dice: Dice) -> AttemptId:
    live = list(state.attempts)
    if live and dice.random() < 0.9:
        return dice.choice(live)
    return AttemptId(dice.randrange(1, state.next_attempt + 1))


_CAUSES = ("", "", "", "", "", "", "timeout", "start_failed", "port_in_use", "moved", "unhealthy")


def _finish(state: State, dice: Dice) -> Command:
    return c.FinishAttempt(
        attempt=_some_attempt(state, dice),
        exit_code=dice.choice([0, 0, 0, 1, 2, 137]),
        cause=dice.choice(_CAUSES),
        duration_us=dice.choice([0, 5_000, 20_000_000]),
        output=dice.choice([b"out", b"[1,2,3]", b"[]"]),
        log=dice.choice([b"", b"printed"]),
        cpu_us=dice.choice([0, 500, 700]),
        artifacts=_left(dice) if dice.random() < 0.3 else None,
    )


def _release(state: State, dice: Dice) -> Command:
    cause = dice.choice(["lost", "retracted"])
    return c.ReleaseAttempt(attempt=_some_attempt(state, dice), cause=cause)


def _kv(state: State, dice: Dice) -> Command:
    key = dice.choice("kns")
    value = dice.choice([b"1", b"-7", b"text", b""])
    ttl_ms = dice.choice([0, 0, 500, 5000])
    kind = dice.randrange(6)
    if kind == 0:
        return c.KvPut(key=key, value=value, ttl_ms=ttl_ms)
    if kind == 1:
        return c.KvDelete(key=key)
    if kind == 2:
        expected = state.kv[key].value if key in state.kv else None
        return c.KvCas(key=key, expected=expected, value=value, ttl_ms=ttl_ms)
    if kind == 3:
        return c.KvIncr(key=key, by=dice.choice([1, -3, 2**63 - 1]))
    if kind == 4:
        return c.KvSetAdd(key=key, member=dice.choice(["a", "b,c"]))
    return c.KvSetRemove(key=key, member=dice.choice(["a", "b,c"]))


def _acquire(state: State, dice: Dice) -> Command:
    return c.AcquireLock(
        name=dice.choice("lm"),
        claim=dice.choice("ABCDEF"),
        ttl_ms=dice.choice([1, 500, 5000]),
        wait_ms=dice.choice([0, 400, 5000, 5000]),
        slots=dice.choice([1, 1, 1, 1, 2]),
    )


def _release_lock(state: State, dice: Dice) -> Command:
    kind = c.ReleaseLock if dice.random() < 0.6 else c.RenewLock
    fields = {} if kind is c.ReleaseLock else {"ttl_ms": dice.choice([300, 3000])}
    known = [(lock.name, one) for lock in state.locks.values() for one in lock.holders]
    known += [(lock.name, one) for lock in state.locks.values() for one in lock.waiters]
    name, claim = dice.choice(known) if known and dice.random() < 0.8 else ("l", "A")
    return kind(name=name, claim=claim, **fields)  # type: ignore[arg-type]


def _signal(state: State, dice: Dice) -> Command:
    run, job_id = _some_job(state, dice, over=dice.random() < 0.1)
    whose = dice.choice(["", job_id])
    return c.SendSignal(run=run, job=whose, name=dice.choice("go"), payload=b"1")


def _task(state: State, dice: Dice) -> Command:
    """What code inside a task does."""
    kind = dice.randrange(5)
    if kind == 4:
        return _spend(state, dice)
    if kind == 0:
        return c.SetOutput(value=b"set")
    if kind == 1:
        return c.ReportProgress(ppm=dice.choice([0, 500_000, 1_000_001]), note="n")
    if kind == 2:
        return _ack(state, dice)
    effects = [_kv(state, dice) for _ in range(dice.randrange(1, 5))]
    runs = [attempt.run for attempt in state.attempts.values()]
    if runs and dice.random() < 0.3:
        jobs = _graph(dice, [], [f"c{dice.randrange(999)}"])
        effects.append(c.AddJobs(run=dice.choice(runs), jobs=jobs))
    if dice.random() < 0.3:
        effects += [_spend(state, dice), _spend(state, dice)]
    if dice.random() < 0.3:
        effects += [c.SetOutput(value=b"batch"), _ack(state, dice)]
    return c.CommitEffects(effects=tuple(effects))  # type: ignore[arg-type]


def _ack(state: State, dice: Dice) -> Command:
    boxes = [box for mail in state.mail.values() for box in mail.values()]
    box = dice.choice(boxes) if boxes else []
    seq = dice.choice(box).seq if box else 1
    return c.AckSignal(seq=seq)


def _decide(state: State, dice: Dice) -> Command:
    waiting = [
        (run.id, job.id)
        for run in state.runs.values()
        for job in run.jobs.values()
        if job.state is JobState.WAITING or (job.id in run.gates and dice.random() < 0.2)
    ]
    run, job_id = dice.choice(waiting or [(RUNS[0], JOBS[0])])
    return c.DecideGate(
        run=run,
        gate=job_id,
        decision=dice.choice(["approve", "approve", "approve", "reject"]),
        by=dice.choice(["ann", "bob"]),
        answers=dice.choice([{}, {"n": 4}, {"n": "5"}, {"s": "y"}, {"jobs": 2}, {"cpu_s": 1}]),
    )


def _save(state: State, dice: Dice) -> Command:
    names = dice.sample(JOBS, dice.randrange(1, 4))
    inputs = dice.choice([{}, {}, {"p": Input("int", default=3)}])
    budget = _limits(dice) if dice.random() < 0.3 else None
    jobs = _graph(dice, [], names)
    return c.SavePipeline(
        name=dice.choice(PIPELINES),
        jobs=jobs,
        inputs=inputs,
        budget=budget,
        labels=dice.choice(LABELS),
    )


def _forget_saved(state: State, dice: Dice) -> Command:
    return c.DeletePipeline(name=dice.choice(PIPELINES), version=dice.choice([0, 1, 2]))


def _submit_saved(state: State, dice: Dice) -> Command:
    run, parameters = dice.choice(RUNS), dice.choice([{}, {}, {"p": 2}])
    return c.SubmitSaved(
        run=run,
        name=dice.choice(PIPELINES),
        parameters=parameters,
        agent_run_id=dice.choice(["", *AGENTS]),
        budget=_limits(dice),
        labels=dice.choice(LABELS),
    )


def _describe(state: State, dice: Dice) -> Command:
    worker = dice.choice(WORKERS)
    machine = dice.choice(["here", worker])
    return c.DescribeWorker(worker=worker, host="h", machine=machine, ports=(31_000, 31_002))


def _some_service(state: State, dice: Dice) -> tuple[RunId, JobId]:
    found = [
        (run.id, name)
        for run in state.runs.values()
        for name in run.services
        if not run.jobs[name].state.is_over or dice.random() < 0.1
    ]
    return dice.choice(found or [(RUNS[0], JOBS[0])])


def _health(state: State, dice: Dice) -> Command:
    live = [a.id for a in state.attempts.values() if a.port]
    attempt = dice.choice(live) if live and dice.random() < 0.9 else _some_attempt(state, dice)
    health = dice.choice(["healthy", "healthy", "healthy", "unhealthy", "starting"])
    return c.SetServiceHealth(attempt=attempt, health=health, detail=dice.choice(["", "no"]))


def _stop(state: State, dice: Dice) -> Command:
    run, name = _some_service(state, dice)
    return c.StopService(run=run, job=name)


def _deploy(state: State, dice: Dice) -> Command:
    """Two versions of a few names meet again and again."""
    names = dice.sample(["web", "db"], dice.choice([1, 1, 2]))
    jobs = (*[_service(dice, name, []) for name in names], _spec(dice, "other", names[:1]))
    run = RunId(f"d-{dice.randrange(12)}")
    return c.DeployServices(run=run, name="d", jobs=jobs, wait_ms=dice.choice([600, 2500, 60_000]))


SCHEDULES = ("s", "t")


def _schedule(state: State, dice: Dice) -> Command:
    name = dice.choice(SCHEDULES)
    kind = dice.randrange(8)
    if kind == 0:
        return c.DeleteSchedule(name=name)
    if kind == 1:
        return c.PauseSchedule(name=name, is_paused=dice.random() < 0.3)
    if kind == 2:
        return c.TriggerSchedule(name=name)
    if kind == 3:
        return c.BackfillSchedule(name=name, from_ms=1000, until_ms=dice.choice([0, 9000, 2**50]))
    spec = ScheduleSpec(
        cron="* * * * *",
        overlap=dice.choice(OVERLAPS),
        catchup=dice.choice(CATCHUPS),
        jitter_ms=dice.choice([0, 0, 50]),
        paused=dice.random() < 0.1,
    )
    parameters = dice.choice([{}, {}, {"p": 1}])
    return c.SetSchedule(
        name=name, spec=spec, pipeline=dice.choice(PIPELINES), parameters=parameters
    )


def _fire(state: State, dice: Dice) -> Command:
    name = dice.choice(SCHEDULES)
    known = state.schedules.get(name)
    if known is None:
        return c.FireSchedule(name=name, revision=0, nominal_ms=1)
    kind = dice.choice(["due", "due", "due", "queued", "backfill", "missed"])
    nominal_ms = known.last_nominal_ms + dice.choice([1, 100, 0, 10**9])
    if kind == "queued" and known.queue:
        nominal_ms = known.queue[0]
    if kind == "backfill" and known.backfill:
        nominal_ms = dice.choice([known.backfill.done_ms + 500, 0])
    return c.FireSchedule(
        name=name,
        revision=known.revision - (dice.random() < 0.1),
        nominal_ms=nominal_ms,
        kind=kind,
        missed=dice.choice([0, 2]),
        is_last=nominal_ms == 0 or dice.random() < 0.2,
    )


def _publish(state: State, dice: Dice) -> Command:
    if dice.random() < 0.2:
        return c.RenewBlobs(digests=tuple(dice.sample(DIGESTS, 2)))
    holders = tuple(dice.sample(["m1", "m2"], dice.randrange(3)))
    return c.PublishBlob(
        digest=dice.choice(DIGESTS), size=dice.choice([3, 3, 3, 4]), holders=holders
    )


def _left(dice: Dice) -> Manifest:
    """What a job leaves: files, and now and then an output that is too large for the state."""
    left = _manifest(dice) if dice.random() < 0.8 else Manifest()
    if dice.random() < 0.3:
        left = msgspec.structs.replace(left, output=dice.choice(DIGESTS), output_size=3)
    return left


def _manifest(dice: Dice) -> Manifest:
    if dice.random() < 0.1:
        return Manifest(listing=dice.choice(DIGESTS), pack=dice.choice(DIGESTS), count=999, size=3)
    paths = dice.sample(["a", "b/c", "d", "../e"] if dice.random() < 0.05 else ["a", "b/c"], 2)
    return manifest_of([FileEntry(path, dice.choice(DIGESTS), 3, 0o644) for path in paths])


def _artifact(state: State, dice: Dice) -> Command:
    key = dice.choice("kx")
    if dice.random() < 0.3:
        return c.DeleteArtifact(key=key)
    return c.PublishArtifact(
        key=key, digest=dice.choice(DIGESTS), name=dice.choice(["f", "f", "."])
    )


def _checkpoint(state: State, dice: Dice) -> Command:
    return c.PublishCheckpoint(
        attempt=_some_attempt(state, dice), manifest=_manifest(dice), taken_ms=dice.randrange(3)
    )


def _keep_logs(state: State, dice: Dice) -> Command:
    digest = dice.choice(DIGESTS)
    tail = list(state.log_tail)
    if dice.random() < 0.5:
        attempts = tuple(tail[: dice.randrange(4)])
        return c.PackLogs(digest=dice.choice([digest, digest, Digest("")]), attempts=attempts)
    attempts = tuple(AttemptId(dice.randrange(1, 30)) for _ in range(dice.randrange(3)))
    runs = tuple(dice.sample(RUNS, dice.randrange(3)))
    return c.KeepLogs(digest=digest, attempts=attempts, runs=runs)


def _retention(dice: Dice) -> Command:
    """Mostly a policy that keeps much; now and then a tight one, or a wrong one."""
    return c.SetRetention(
        runs_max=dice.choice([None, 2, limits.FINISHED_RUNS_MAX, limits.FINISHED_RUNS_MAX]),
        jobs_max=dice.choice([None, None, 10, limits.FINISHED_JOBS_MAX, -1]),
        keep_ms=dice.choice([None, 60_000, FINISHED_KEEP_MS, FINISHED_KEEP_MS]),
        lease_ms=dice.choice([None, limits.BLOB_LEASE_MS_MIN, limits.BLOB_LEASE_MS]),
    )


def _time(state: State, dice: Dice) -> Command:
    if dice.random() < 0.03:
        return _retention(dice)
    if dice.random() < 0.02:
        return c.NoteOrder(action="master.add", master=dice.choice("xyz"), detail="d")
    return c.AdvanceTime()


_MOVES: tuple[tuple[int, Callable[[State, Dice], Command]], ...] = (
    (3, _submit),
    (3, _stage),
    (2, _add),
    (2, _cancel),
    (3, _retry),
    (5, _mutate),
    (3, _join),
    (1, _expire),
    (1, _mode),
    (1, _pool),
    (2, _launch),
    (2, _settle),
    (1, _retire),
    (12, _assign),
    (8, _finish),
    (2, _release),
    (3, _kv),
    (4, _acquire),
    (2, _release_lock),
    (2, _signal),
    (4, _task),
    (2, _publish),
    (1, _artifact),
    (2, _checkpoint),
    (1, _keep_logs),
    (6, _time),
    (3, _decide),
    (2, _save),
    (1, _forget_saved),
    (2, _submit_saved),
    (2, _describe),
    (6, _health),
    (1, _stop),
    (3, _deploy),
    (2, _schedule),
    (3, _fire),
    (2, _set_budget),
)
_WEIGHTED = [move for weight, move in _MOVES for _ in range(weight)]
CLIENTS = ("c1", "c2")
WHO = ("", "cli ada@laptop", "http 10.0.0.7")


@contextmanager
def steps_at_most(count: int) -> Iterator[None]:
    """Entries that reach only so many edges and jobs, so that much is left unsettled; 0: no bound."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SETTLE_STEPS_PER_ENTRY", count or UNBOUNDED)
        patch.setattr(limits, "SETTLE_STEPS_EACH", min(count, 1))
        yield


def grow(numbers: Sequence[int], *, steps: int = 0) -> list[Entry]:
    """The log that these numbers stand for; a scout machine shows each step what came before. It has
    the bound of `steps_at_most`."""
    with steps_at_most(steps):
        return _grow(numbers)


def _grow(numbers: Sequence[int]) -> list[Entry]:
    scout = Machine()
    log: list[Entry] = []
    now_ms, epoch, requests = START_MS, 1, dict.fromkeys(CLIENTS, 0)

    def write(epoch: int, *proposals: Proposal) -> None:
        entry = Entry(ENTRY_FORMAT, epoch, now_ms, proposals)
        log.append(entry)
        scout.apply(len(log), encode_entry(entry))

    write(1, Proposal(c.OpenEpoch(epoch=1, leader="m1", cluster_id="x")))
    write(1, Proposal(c.RaiseVersion(version=c.VERSION)))
    opening = Dice(numbers[0])
    write(1, *[Proposal(c.PublishBlob(digest=one, size=3, holders=("m1",))) for one in DIGESTS[1:]])
    begin = (_join, _join, _describe, _describe, _save, _save, _submit)
    write(1, *[Proposal(move(scout.state, opening)) for move in begin])
    for number in numbers:
        dice = Dice(number)
        now_ms += dice.choice([0, 1, 400, 1500, -300]) if dice.random() < 0.97 else _long(dice)
        if dice.random() < 0.02:
            epoch += 1
            write(epoch, Proposal(c.OpenEpoch(epoch=epoch, leader="m2")))
        moves = [dice.choice(_WEIGHTED) for _ in range(dice.choice([1, 1, 1, 3]))]
        proposals = [_propose(scout.state, dice, move, requests) for move in moves]
        write(epoch - (dice.random() < 0.02), *proposals)
    return log


def _propose(
    state: State, dice: Dice, move: Callable[[State, Dice], Command], requests: dict[str, int]
) -> Proposal:
    command = move(state, dice)
    if not command.client_may:
        return Proposal(command, who=WHO[0] if isinstance(command, c.NoteOrder) else "")
    client = dice.choice(CLIENTS)
    if dice.random() < 0.9:
        requests[client] += 1
    request = max(1, requests[client] - (dice.randrange(9) if dice.random() < 0.1 else 0))
    floor = max(0, request - 5) if dice.random() < 0.5 else 0
    from_task = 0.9 if move is _task else 0.2
    attempt = _some_attempt(state, dice) if dice.random() < from_task else AttemptId(0)
    who = "" if attempt else WHO[request % len(WHO)]
    return Proposal(command, client, request, floor, attempt, who)


def _long(dice: Dice) -> int:
    """A day and more; now and then long enough for finished runs to be forgotten."""
    return dice.choice([90_000_000, 90_000_000, FINISHED_KEEP_MS])


def entry_logs(*, steps_max: int = 80, steps: int = 0) -> st.SearchStrategy[list[Entry]]:
    """Logs as leaders write them: epochs open, the clock jumps, clients repeat, some entries are stale.

    They are logs of machines with the bound of `steps_at_most`."""
    numbers = st.lists(st.integers(0, 2**32), min_size=10, max_size=steps_max)
    return numbers.map(lambda drawn: grow(drawn, steps=steps))


def long_log(seed: int, *, steps: int, steps_each: int = 0) -> list[bytes]:
    """A long log that every process grows alike."""
    dice = Dice(seed)
    return encoded(grow([dice.randrange(2**32) for _ in range(steps)], steps=steps_each))


def encoded(log: list[Entry]) -> list[bytes]:
    """The log as bytes."""
    return [encode_entry(entry) for entry in log]
