"""What must hold for every log: total, sound, replayed exactly, told by its events, safe to repeat."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fsm.logs import encoded, entry_logs, long_log, steps_at_most
from titan.fsm import alike, telling
from titan.fsm.commands import Entry, Proposal
from titan.fsm.invariants import validate
from titan.fsm.machine import Machine, Result
from titan.fsm.policy import asks_first
from titan.fsm.queries import ListJobs, ListRuns, ListWorkers
from titan.fsm.records.unsettled import Starting
from titan.fsm.sessions import encode_outcome
from titan.fsm.state import JobState, is_ready
from titan.fsm.unattended import asks_for_worker
from titan.fsm.views import read

slowly = settings(
    max_examples=int(os.environ.get("TITAN_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


BUDGETS = [0, 1, 3]  # edges and jobs that effects reach by one entry; 0: all
OVER = [state for state in JobState if state.is_over]


@contextmanager
def events_each_at_most(count: int) -> Iterator[None]:
    """With 0, one event names all the jobs that one command changes alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telling, "EVENTS_EACH_MAX", count)
        patch.setattr(alike, "EVENTS_EACH_MAX", count)
        yield


def play(machine: Machine, payloads: Iterable[bytes]) -> Machine:
    for payload in payloads:
        machine.apply(machine.state.index + 1, payload)
    return machine


@pytest.mark.parametrize("steps", BUDGETS)
def test_every_log_has_outcomes_and_leaves_a_sound_state(steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        with steps_at_most(steps):
            _check_outcomes(log)

    check()


def _check_outcomes(log: list[Entry]) -> None:
    machine = Machine()
    for entry, payload in zip(log, encoded(log), strict=True):
        result = machine.apply(machine.state.index + 1, payload)
        assert len(result.outcomes) == len(entry.proposals)
        validate(machine.state)


@pytest.mark.parametrize("steps", BUDGETS)
@pytest.mark.parametrize("seed", range(6))
def test_a_long_life_leaves_a_sound_state_at_every_step(seed: int, steps: int) -> None:
    machine = Machine()
    with steps_at_most(steps):
        for payload in long_log(seed, steps=500, steps_each=steps):
            machine.apply(machine.state.index + 1, payload)
            validate(machine.state)
    restored = Machine()
    restored.restore(machine.freeze())
    assert restored.state == machine.state


@pytest.mark.parametrize("steps", BUDGETS)
def test_every_waiting_job_has_a_reason(steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        with steps_at_most(steps):
            _check_reasons(log)

    check()


def _check_reasons(log: list[Entry]) -> None:
    state = play(Machine(), encoded(log)).state
    read(state, ListWorkers())
    for run in read(state, ListRuns()):
        for job in read(state, ListJobs(run=run.id)):
            assert job.reason or job.state in (JobState.RUNNING, JobState.COMPLETED)


@pytest.mark.parametrize("steps", BUDGETS)
def test_replay_from_any_snapshot_reaches_the_same_state(steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps), st.integers(0, 80))
    def check(log: list[Entry], cut: int) -> None:
        with steps_at_most(steps):
            _check_replay(log, cut=cut)

    check()


def _check_replay(log: list[Entry], *, cut: int) -> None:
    payloads = encoded(log)
    whole = play(Machine(), payloads)
    restored = Machine()
    restored.restore(play(Machine(), payloads[:cut]).freeze())
    validate(restored.state)
    play(restored, payloads[cut:])
    assert restored.digest == whole.digest
    assert restored.state == whole.state


@pytest.mark.parametrize("steps", BUDGETS)
def test_sending_every_client_request_twice_changes_nothing(steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        with steps_at_most(steps):
            _check_repeats(log)

    check()


def _check_repeats(log: list[Entry]) -> None:
    once, twice = Machine(), Machine()
    for entry in log:
        doubled: list[Proposal] = []
        for proposal in entry.proposals:
            doubled.extend([proposal, proposal] if proposal.client else [proposal])
        first = play_one(once, entry)
        second = play_one(twice, msgspec.structs.replace(entry, proposals=tuple(doubled)))
        if entry.epoch == once.state.epoch:
            assert answers(first) == [
                a
                for a, is_repeat in zip(answers(second), repeats(doubled), strict=True)
                if not is_repeat
            ]
            assert first.events == second.events
    twice.state.digest = once.state.digest
    assert once.state == twice.state


def play_one(machine: Machine, entry: Entry):  # type: ignore[no-untyped-def]
    return machine.apply(machine.state.index + 1, encoded([entry])[0])


def answers(result: Result) -> list[bytes]:
    return [encode_outcome(outcome) for outcome in result.outcomes]


def repeats(doubled: list[Proposal]) -> list[bool]:
    return [place > 0 and one is doubled[place - 1] for place, one in enumerate(doubled)]


@pytest.mark.parametrize("steps", BUDGETS)
@pytest.mark.parametrize("each_max", [0, 256])
def test_events_follow_every_change_of_a_job_and_a_run(each_max: int, steps: int) -> None:
    """Whoever listens from the start knows every state without ever looking."""

    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        with events_each_at_most(each_max), steps_at_most(steps):
            _check_states_are_heard(log)

    check()


def _check_states_are_heard(log: list[Entry]) -> None:
    machine = Machine()
    heard: dict[tuple[str, ...], str] = {}
    for payload in encoded(log):
        for event in machine.apply(machine.state.index + 1, payload).events:
            kind = type(event).__name__
            if kind == "JobChanged":
                heard[event.run, event.job] = event.state  # type: ignore[union-attr]
            elif kind == "JobsChanged":
                for job_id in event.jobs:  # type: ignore[union-attr]
                    heard[event.run, job_id] = event.state  # type: ignore[union-attr]
            elif kind == "RunChanged":
                heard[(event.run,)] = event.state  # type: ignore[union-attr]
            elif kind == "RunForgotten":  # the same id may be submitted again
                gone = event.run  # type: ignore[union-attr]
                heard = {key: state for key, state in heard.items() if key[0] != gone}
    for run in machine.state.runs.values():
        assert heard.get((run.id,), "PENDING") == run.state
        for job in run.jobs.values():
            assert heard.get((run.id, job.id), "PENDING") == job.state


@pytest.mark.parametrize("steps", BUDGETS)
@pytest.mark.parametrize("each_max", [0, 256])
def test_a_listener_knows_which_jobs_are_ready(each_max: int, steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        with events_each_at_most(each_max), steps_at_most(steps):
            _check_ready_jobs_are_heard(log)

    check()


def _check_ready_jobs_are_heard(log: list[Entry]) -> None:
    machine = Machine()
    ready: dict[tuple[str, str], None] = {}
    for payload in encoded(log):
        for event in machine.apply(machine.state.index + 1, payload).events:
            kind = type(event).__name__
            if kind == "JobReady":
                ready[event.run, event.job] = None  # type: ignore[union-attr]
            elif kind == "JobsReady":
                for job_id in event.jobs:  # type: ignore[union-attr]
                    ready[event.run, job_id] = None  # type: ignore[union-attr]
            elif kind == "JobsChanged" and event.state in OVER:  # type: ignore[union-attr]
                for job_id in event.jobs:  # type: ignore[union-attr]
                    ready.pop((event.run, job_id), None)  # type: ignore[union-attr]
            elif kind in ("JobWithdrawn", "AttemptAssigned"):
                del ready[event.run, event.job]  # type: ignore[union-attr]
        actual = [
            (run.id, job.id)
            for run in machine.state.runs.values()
            for job in run.jobs.values()
            if is_ready(job)
        ]
        untimed = list(jobs_without_their_timers(machine))
        assert sorted(ready) == sorted(key for key in actual if key not in untimed)


def jobs_without_their_timers(machine: Machine) -> Iterator[tuple[str, str]]:
    """Nothing can be assigned in a run that is yet to be started, so these are not ready either."""
    for run, unsettled in machine.state.unsettled.items():
        if isinstance(unsettled.operation, Starting):
            for name, delay_ms, _ in unsettled.operation.timed[unsettled.operation.at :]:
                job = machine.state.runs[run].jobs[name]
                if delay_ms or asks_first(job) or not asks_for_worker(job):
                    yield run, name


# --- other processes ------------------------------------------------------------------------------

_REPLAY = """
import hashlib, json, sys
from titan.fsm.machine import Machine
machine = Machine()
for payload in json.load(sys.stdin):
    machine.apply(machine.state.index + 1, bytes.fromhex(payload))
blocks = b"".join(machine.freeze())
print(machine.digest.hex(), hashlib.sha256(blocks).hexdigest(), machine.state.index)
"""


def test_the_same_log_gives_the_same_bytes_under_any_hash_seed() -> None:
    payloads = long_log(7, steps=1500)
    stdin = json.dumps([payload.hex() for payload in payloads])
    seen = []
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", _REPLAY],
            input=stdin,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        )
        seen.append(done.stdout.split())
    here = play(Machine(), payloads)
    blocks = hashlib.sha256(b"".join(here.freeze())).hexdigest()
    assert seen == [[here.digest.hex(), blocks, str(len(payloads))]] * 3
    assert any(job.state.is_over for run in here.state.runs.values() for job in run.jobs.values())
