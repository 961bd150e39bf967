"""Random logs of commands over few names, so that commands meet: many are refused, many are not."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from tests.fsm.driver import START_MS, job
from titan.fsm.commands import (
    ENTRY_FORMAT,
    AddJobs,
    AdvanceTime,
    AssignAttempt,
    CancelJob,
    CancelRun,
    ClientCommand,
    Command,
    Entry,
    ExpireWorker,
    FinishAttempt,
    JoinWorker,
    KvCas,
    KvDelete,
    KvIncr,
    KvPut,
    KvSetAdd,
    KvSetRemove,
    OpenEpoch,
    Proposal,
    PublishBlob,
    ReleaseAttempt,
    RetryJob,
    SetWorkerMode,
    StageJobs,
    SubmitRun,
    encode_entry,
)
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.model import TRIGGERS, JobSpec

RUNS = [RunId(f"r-{n}") for n in range(3)]
JOBS = [JobId(name) for name in "abcdefg"]
WORKERS = [WorkerId(f"w{n}") for n in range(3)]
KEYS = ["k", "n", "s"]

runs = st.sampled_from(RUNS)
job_ids = st.sampled_from(JOBS)
workers = st.sampled_from(WORKERS)
keys = st.sampled_from(KEYS)
attempts = st.integers(0, 40).map(AttemptId)
small = st.integers(0, 3)
values = st.sampled_from([b"1", b"-7", b"text", b""])
ttls = st.sampled_from([0, 0, 500, 5000])


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """A job with parents among the few names; sometimes one that must be refused."""
    return job(
        draw(job_ids),
        *draw(st.lists(job_ids, max_size=3)),
        trigger=draw(st.sampled_from(TRIGGERS)),
        retries=draw(small),
        retry_backoff_ms=draw(st.sampled_from([0, 1000])),
        delay_ms=draw(st.sampled_from([0, 0, 700])),
        queue_timeout_ms=draw(st.sampled_from([0, 0, 3000])),
        no_retry_exit_codes=draw(st.sampled_from([(), (2,)])),
        resources=draw(st.sampled_from([{}, {}, {"gpus": 1}, {"slots": 0}])),
    )


@st.composite
def graphs(draw: st.DrawFn) -> tuple[JobSpec, ...]:
    """A graph that is usually sound: parents are drawn among the names before."""
    made: list[JobSpec] = []
    for name in draw(st.lists(job_ids, unique=True, min_size=1)):
        known = [spec.id for spec in made]
        parents = draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        spec = draw(specs())
        made.append(job(name, *parents, **_fields_of(spec)))
    return tuple(made)


def _fields_of(spec: JobSpec) -> dict[str, object]:
    names = [name for name in spec.__struct_fields__ if name not in ("id", "depends_on")]
    return {name: getattr(spec, name) for name in names}


client_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        SubmitRun, run=runs, name=st.just("n"), jobs=graphs(), parts=st.sampled_from([0, 0, 1])
    ),
    st.builds(StageJobs, run=runs, part=small, jobs=st.lists(specs(), max_size=2).map(tuple)),
    st.builds(AddJobs, run=runs, jobs=st.lists(specs(), max_size=2).map(tuple)),
    st.builds(CancelRun, run=runs),
    st.builds(CancelJob, run=runs, job=job_ids),
    st.builds(RetryJob, run=runs, job=job_ids),
    st.builds(SetWorkerMode, worker=workers, mode=st.sampled_from(["open", "open", "draining"])),
    st.builds(KvPut, key=keys, value=values, ttl_ms=ttls),
    st.builds(KvDelete, key=keys),
    st.builds(KvCas, key=keys, expected=st.none() | values, value=values, ttl_ms=ttls),
    st.builds(KvIncr, key=keys, by=st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2)),
    st.builds(KvSetAdd, key=keys, member=st.sampled_from(["a", "b,c"])),
    st.builds(KvSetRemove, key=keys, member=st.sampled_from(["a", "b,c"])),
)

_assigns = st.builds(AssignAttempt, run=runs, job=job_ids, worker=workers)
_joins = st.builds(
    JoinWorker,
    worker=workers,
    incarnation=st.integers(1, 2),
    capabilities=st.just(("GENERAL",)),
    slots=st.integers(1, 2),
    resources=st.sampled_from([{}, {"gpus": 2}]),
    holds=st.lists(attempts, max_size=4).map(tuple),
)
_finishes = st.builds(
    FinishAttempt,
    attempt=attempts,
    exit_code=st.sampled_from([0, 0, 1, 2, 137]),
    cause=st.sampled_from(["", "", "", "timeout", "start_failed"]),
)
leader_commands: st.SearchStrategy[Command] = st.one_of(
    _assigns,
    _assigns,
    _assigns,
    _joins,
    _joins,
    _finishes,
    _finishes,
    st.builds(ReleaseAttempt, attempt=attempts, cause=st.sampled_from(["lost", "retracted"])),
    st.builds(ExpireWorker, worker=workers, incarnation=st.integers(1, 2)),
    st.builds(
        PublishBlob,
        digest=st.just(Digest("ab" * 32)),
        size=st.integers(3, 4),
        holders=st.lists(st.sampled_from(["m1", "m2"]), max_size=2).map(tuple),
    ),
    st.builds(AdvanceTime),
    st.builds(AdvanceTime),
)


@st.composite
def client_proposals(draw: st.DrawFn) -> Proposal:
    """A client's command; a few clients with a few requests, so that some repeat by chance."""
    request = draw(st.integers(1, 40))
    return Proposal(
        draw(client_commands),
        draw(st.sampled_from(["c1", "c2"])),
        request,
        draw(st.integers(0, request)) if draw(small) == 0 else 0,
        draw(attempts) if draw(small) == 0 else AttemptId(0),
    )


@st.composite
def entry_logs(draw: st.DrawFn) -> list[Entry]:
    """A log as leaders write it: epochs that open, a clock that may jump, a few stale entries."""
    now_ms, epoch = START_MS, 1
    log = [_entry(now_ms, epoch, Proposal(OpenEpoch(epoch=1, leader="m1", cluster_id="x")))]
    for _ in range(draw(st.integers(1, 40))):
        now_ms += draw(st.sampled_from([0, 1, 400, 1500, -300, 700_000]))
        if draw(st.integers(0, 30)) == 0:
            epoch += 1
            log.append(_entry(now_ms, epoch, Proposal(OpenEpoch(epoch=epoch, leader="m2"))))
        proposals = draw(
            st.lists(client_proposals() | leader_commands.map(Proposal), min_size=1, max_size=4)
        )
        stale = draw(st.integers(0, 30)) == 0
        log.append(_entry(now_ms, epoch - stale, *proposals))
    return log


def _entry(now_ms: int, epoch: int, *proposals: Proposal) -> Entry:
    return Entry(ENTRY_FORMAT, epoch, now_ms, proposals)


def encoded(log: list[Entry]) -> list[bytes]:
    """The log as bytes."""
    return [encode_entry(entry) for entry in log]


def long_log() -> list[bytes]:
    """A long log from a fixed seed, drawn without hypothesis so that every process draws the same."""
    dice = random.Random(7)
    names = [JobId(f"job-{n}") for n in range(30)]
    log = [_entry(START_MS, 1, Proposal(OpenEpoch(epoch=1, leader="m", cluster_id="x")))]
    for step in range(1500):
        command = _roll(dice, names)
        client = f"c{step % 7}" if isinstance(command, ClientCommand) else ""
        log.append(_entry(START_MS + 300 * step, 1, Proposal(command, client, step)))
    return encoded(log)


def _roll(dice: random.Random, names: list[JobId]) -> Command:
    run = RunId(f"r-{dice.randrange(8)}")
    name, worker = dice.choice(names), WorkerId(f"w{dice.randrange(5)}")
    attempt = AttemptId(dice.randrange(1, 200))
    graph = tuple(
        job(each, *dice.sample(names[:place], min(place, dice.randrange(4))))
        for place, each in enumerate(names)
    )
    assign = AssignAttempt(run=run, job=name, worker=worker)
    return dice.choice(
        [
            SubmitRun(run=run, name="n", jobs=graph),
            *[assign] * 3,
            FinishAttempt(attempt=attempt, exit_code=dice.randrange(2)),
            FinishAttempt(attempt=attempt, exit_code=0),
            JoinWorker(worker=worker, incarnation=dice.randrange(3), capabilities=("GENERAL",)),
            RetryJob(run=run, job=name),
            CancelJob(run=run, job=name),
            KvSetAdd(key="s", member=name),
            KvIncr(key=name),
            AdvanceTime(),
        ]
    )
