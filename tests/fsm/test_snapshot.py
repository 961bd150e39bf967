"""Freezing and restoring: nothing is lost, nothing is shared, damage is noticed."""

from __future__ import annotations

import gc

import msgspec
import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan import limits
from titan.errors import Fatal
from titan.fsm import frozen
from titan.fsm.commands import (
    AcquireLock,
    CancelJob,
    CancelRun,
    Entry,
    ExpireWorker,
    KvIncr,
    KvPut,
    KvSetAdd,
    Proposal,
    PublishBlob,
    ReportProgress,
    SendSignal,
    SetOutput,
    StageJobs,
    encode_entry,
)
from titan.fsm.invariants import validate
from titan.fsm.machine import Machine
from titan.fsm.queries import GetBlob, GetRun
from titan.fsm.views import read
from titan.ids import Digest, JobId, RunId, WorkerId

DIGEST = Digest("ab" * 32)


@pytest.fixture
def busy(machine: MachineDriver) -> MachineDriver:
    """A machine with something of everything."""
    run = machine.submit(
        [
            *chain("a", "b", "c"),
            job("gpu", resources={"gpus": 1}, delay_ms=5),
            job("q", queue_timeout_ms=9),
        ],
        parameters={"x": 1, "y": None},
    )
    machine.join("w1", resources={"gpus": 2})
    machine.run_job(run, "a")
    machine.run_job(run, "b", exit_code=3)
    machine.wait(5)
    gpu = machine.assign(run, "gpu")
    machine.do(SetOutput(value=b"{}"), attempt=gpu)
    machine.do(ReportProgress(ppm=5, note="n"), attempt=gpu)
    for claim in ("c1", "c2"):
        machine.do(AcquireLock(name="l", claim=claim, ttl_ms=99, wait_ms=99), attempt=gpu)
    for whose in ("", "q"):
        machine.do(SendSignal(run=run, job=whose, name="go", payload=b"1"))
    machine.submit([job("x"), job("y", "x")])
    machine.join("w2")
    machine.do(ExpireWorker(worker=WorkerId("w2"), incarnation=1))
    machine.do(KvPut(key="k", value=b"\xff", binary=True, ttl_ms=50), client="c", request=1)
    machine.do(KvSetAdd(key="s", member="a,b"))
    machine.do(PublishBlob(digest=DIGEST, size=3, holders=("m1",)))
    machine.do(StageJobs(run=RunId("r-staged"), part=0, jobs=chain("s1", "s2")))
    return machine


def test_a_restored_machine_is_the_same_and_goes_on_the_same(busy: MachineDriver) -> None:
    blocks = list(busy.machine.freeze())
    other = MachineDriver()
    other.machine.restore(blocks)
    other.now_ms = busy.now_ms
    assert other.state == busy.state
    validate(other.state)
    for driver in (busy, other):
        driver.wait(10_000)
        driver.do(KvIncr(key="n"), client="c", request=2)
        driver.do(CancelJob(run=RunId("r-00000000000000000001"), job=JobId("b")))
    assert other.machine.digest == busy.machine.digest
    assert other.state == busy.state


def test_later_entries_do_not_touch_what_was_frozen(busy: MachineDriver) -> None:
    expected = list(busy.machine.freeze())
    frozen = busy.machine.freeze().at_once()
    busy.wait(10_000)
    busy.do(KvSetAdd(key="s", member="new"))
    assert list(frozen) == expected


def test_a_state_is_set_aside_in_steps_and_must_not_change_before_the_last(
    busy: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(busy.machine.freeze())
    monkeypatch.setattr(limits, "SNAPSHOT_STEP_BYTES", 1)
    frozen = busy.machine.freeze()
    assert not frozen.step()
    with pytest.raises(AssertionError, match="being frozen"):
        busy.do(KvSetAdd(key="s", member="new"))
    steps = 2
    while not frozen.step():
        steps += 1
    assert steps >= len(expected) - 2, "a step took more than one block"
    busy.do(KvSetAdd(key="s", member="new"))
    assert list(frozen) == expected


def test_what_has_been_drawn_of_a_frozen_state_is_let_go_of(busy: MachineDriver) -> None:
    frozen = busy.machine.freeze().at_once()
    [*_] = frozen
    held = [each for each in gc.get_referents(frozen.__dict__) if isinstance(each, list | set)]
    assert [len(each) for each in held] == [0, 0]


def test_a_long_run_spreads_over_several_blocks(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "_JOBS_PER_BLOCK", 3)
    machine.submit([job("first")])
    machine.submit(chain(*[f"j{i}" for i in range(10)]))
    machine.submit([job("last")])
    machine.submit(chain("p", "q"))
    blocks = list(machine.machine.freeze())
    assert max(map(len, blocks)) < sum(map(len, blocks)) / 3
    other = Machine()
    other.restore(blocks)
    assert other.state == machine.state
    assert list(other.state.runs) == list(machine.state.runs)


def test_restored_jobs_share_what_running_ones_share(busy: MachineDriver) -> None:
    other = Machine()
    other.restore(busy.machine.freeze())
    [run, _] = other.state.runs.values()
    a, b = run.jobs[JobId("a")], run.jobs[JobId("b")]
    assert a.demand is b.demand
    assert b.parents[0] is a.id
    assert a.worker is b.worker


def test_cut_reordered_or_damaged_blocks_are_no_state(busy: MachineDriver) -> None:
    blocks = list(busy.machine.freeze())
    before = busy.state
    for bad in (
        [],
        blocks[:-1],
        blocks[1:],
        [*blocks[:2], *blocks[3:]],
        [*blocks, blocks[1]],
        [b"junk", *blocks],
        [blocks[0][:-1], *blocks[1:]],
        [blocks[1], blocks[0], *blocks[2:]],
    ):
        with pytest.raises(Fatal, match="damaged"):
            busy.machine.restore(bad)
    assert busy.state is before


def test_a_snapshot_from_a_newer_version_is_refused(
    busy: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "SNAPSHOT_FORMAT", 2)
    blocks = list(busy.machine.freeze())
    monkeypatch.undo()
    with pytest.raises(Fatal, match="too old"):
        busy.machine.restore(blocks)
    with pytest.raises(Fatal, match="a section 'dreams'"):
        busy.machine.restore([frozen._block("dreams", [])])


def test_stale_timers_do_not_pile_up(machine: MachineDriver) -> None:
    for number in range(5000):
        machine.machine.apply(
            machine.state.index + 1, _put(machine, ttl_ms=limits.DURATION_MS_MAX - number)
        )
    assert len(machine.state.timers) <= 1025
    validate(machine.state)


def _put(machine: MachineDriver, *, ttl_ms: int) -> bytes:
    put = KvPut(key="k", value=b"", ttl_ms=ttl_ms)
    return encode_entry(Entry(1, 1, machine.now_ms, (Proposal(put),)))


# --- blobs ----------------------------------------------------------------------------------------


def test_the_holders_of_a_blob_add_up(machine: MachineDriver) -> None:
    machine.do(PublishBlob(digest=DIGEST, size=3, holders=("m1", "m2")))
    machine.do(PublishBlob(digest=DIGEST, size=3, holders=("m2", "m3")))
    view = read(machine.state, GetBlob(digest=DIGEST))
    assert (view.size, view.holders) == (3, ("m1", "m2", "m3"))
    assert read(machine.state, GetBlob(digest=Digest("00" * 32))) is None


def test_a_blob_has_one_size_a_digest_and_a_holder(machine: MachineDriver) -> None:
    machine.do(PublishBlob(digest=DIGEST, size=3, holders=("m1",)))
    assert machine.refuse(PublishBlob(digest=DIGEST, size=4, holders=("m1",))) == "invalid"
    assert machine.refuse(PublishBlob(digest=Digest("x"), size=4, holders=("m1",))) == "invalid"
    assert machine.refuse(PublishBlob(digest=DIGEST, size=3, holders=())) == "invalid"


def test_a_restored_master_answers_byte_for_byte_as_the_others(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b")])
    machine.run_job(run, "b")
    machine.do(CancelRun(run=run))  # the counts came to be in another order than the jobs stand in
    other = Machine()
    other.restore(list(machine.machine.freeze()))
    question = GetRun(run=run)
    answers = [msgspec.json.encode(read(one, question)) for one in (machine.state, other.state)]
    assert answers[0] == answers[1]
