"""What a leader tells of its workers and of the latest minutes."""

from __future__ import annotations

from tests.sched.world import World, job
from titan.fsm.commands import ENTRY_FORMAT, VERSION, Entry, Proposal, RaiseVersion, encode_entry
from titan.fsm.events import AttemptAssigned, AttemptFinished, RunChanged, RunSubmitted
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import PULSE_BEATS_KEPT
from titan.master.fleet import FRESH_MS, FleetWatch
from titan.master.pulse import Pulse, quantile, waited_ms
from titan.master.replica import Replica
from titan.wire.messages import Heartbeat

RUN = RunId("r-00000000000000000000")


def test_a_heartbeat_is_told_with_the_moment_it_came_and_the_answer_is_kept_for_a_second() -> None:
    world = World()
    world.join("w1", slots=1)
    watch = FleetWatch(address="a:1", now_ms=lambda: world.now_ms)
    assert watch.look(world.state, world.planner).workers == ()
    watch.heard(WorkerId("w1"), Heartbeat(load_milli=1500, memory_free_mb=7, disk_free_mb=9))
    watch.heard(WorkerId("gone"), Heartbeat())
    came_ms = world.now_ms
    assert watch.look(world.state, world.planner).workers == ()  # not asked again so soon
    world.now_ms += FRESH_MS
    (told,) = watch.look(world.state, world.planner).workers
    assert (told.worker, told.last_seen_ms, told.load_milli) == ("w1", came_ms, 1500)


def test_a_beat_counts_what_was_applied_and_how_long_commits_took() -> None:
    replica = Replica()
    now_ms = 1_007
    pulse = Pulse(replica, now_ms=lambda: now_ms, leads=lambda: True)
    raised = Entry(ENTRY_FORMAT, 0, 1_000, (Proposal(RaiseVersion(version=VERSION)),))
    replica.listen(pulse.on_applied)
    replica.apply(1, encode_entry(raised))

    def ended(exit_code: int) -> AttemptFinished:
        return AttemptFinished(
            attempt=AttemptId(1),
            run=RUN,
            job=JobId("j"),
            worker=WorkerId("w"),
            exit_code=exit_code,
            duration_us=5,
        )

    pulse.on_applied(
        1,
        [
            RunSubmitted(run=RUN),
            ended(0),
            ended(3),
            RunChanged(run=RUN, state="RUNNING", over=False),
            RunChanged(run=RUN, state="FAILED", over=True),
        ],
    )
    pulse.beat()
    (beat,) = pulse.beats
    assert (beat.attempts, beat.failed, beat.runs_begun, beat.runs_ended) == (2, 1, 1, 1)
    assert (beat.commit_p50_ms, beat.wait_p50_ms) == (7, None)
    for _ in range(PULSE_BEATS_KEPT + 1):
        pulse.beat()
    assert len(pulse.beats) == PULSE_BEATS_KEPT
    assert pulse.beats[0].attempts == 0


def test_a_job_waits_from_the_end_of_its_last_parent() -> None:
    world = World()
    world.join("w1", slots=1)
    run = world.submit(job("a"), job("b", "a"))

    def assigned(name: str) -> AttemptAssigned:
        attempt = world.live(run, name)
        return AttemptAssigned(
            attempt=attempt.id, fence=1, run=run, job=attempt.job, worker=attempt.worker
        )

    world.now_ms += 30
    world.plan()
    assert waited_ms(world.state, assigned("a")) == 30
    world.end(run, "a")
    world.now_ms += 12
    world.plan()
    assert waited_ms(world.state, assigned("b")) == 12


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([], percent=50) is None
    assert quantile([4], percent=95) == 4
    assert [quantile(range(1, 101), percent=p) for p in (1, 50, 95, 100)] == [1, 50, 95, 100]
