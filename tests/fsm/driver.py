"""A machine with a hand on it: applies commands one by one and validates the state after each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from titan.fsm.commands import (
    ENTRY_FORMAT,
    VERSION,
    AdvanceTime,
    AssignAttempt,
    Command,
    Entry,
    FinishAttempt,
    JoinWorker,
    OpenEpoch,
    Proposal,
    RaiseVersion,
    SubmitRun,
    encode_entry,
)
from titan.fsm.events import AnyEvent
from titan.fsm.invariants import validate
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.queries import GetJob, GetRun, JobView, RunView
from titan.fsm.state import Job, Run, State
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.spec.model import JobSpec

START_MS = 1_700_000_000_000


def job(job_id: str, *parents: str, **fields: Any) -> JobSpec:
    """A job that runs a command; parents by name."""
    fields.setdefault("argv", (b"true",))
    return JobSpec(id=JobId(job_id), depends_on=tuple(map(JobId, parents)), **fields)


def chain(*names: str, **fields: Any) -> tuple[JobSpec, ...]:
    """Jobs one after the other."""
    return tuple(
        job(name, *names[max(0, place - 1) : place], **fields) for place, name in enumerate(names)
    )


def gate(job_id: str, *parents: str, **fields: Any) -> JobSpec:
    """A gate."""
    return JobSpec(id=JobId(job_id), type="gate", depends_on=tuple(map(JobId, parents)), **fields)


def call(job_id: str, pipeline: str, *parents: str, **fields: Any) -> JobSpec:
    """A job that runs a saved pipeline."""
    names = tuple(map(JobId, parents))
    return JobSpec(id=JobId(job_id), type="pipeline", pipeline=pipeline, depends_on=names, **fields)


class MachineDriver:
    """Drives one machine as the only leader of epoch 1, at a clock that the test moves."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.now_ms = START_MS
        self.epoch = 1
        self.events: tuple[AnyEvent, ...] = ()  # of the last entry
        self.log: list[bytes] = []
        self._runs = 0
        self.apply(OpenEpoch(epoch=1, leader="m1:9090", cluster_id="test"))
        self.apply(RaiseVersion(version=VERSION))

    @property
    def state(self) -> State:
        return self.machine.state

    def propose(self, *proposals: Proposal, epoch: int | None = None) -> tuple[Outcome, ...]:
        """Apply one entry."""
        entry = Entry(ENTRY_FORMAT, self.epoch if epoch is None else epoch, self.now_ms, proposals)
        payload = encode_entry(entry)
        result = self.machine.apply(self.state.index + 1, payload)
        validate(self.state)
        self.log.append(payload)
        self.events = result.events
        return result.outcomes

    def apply(self, command: Command, **proposal: Any) -> Outcome:
        """Apply one command in an entry of its own."""
        return self.propose(Proposal(command, **proposal))[0]

    def do(self, command: Command, **proposal: Any) -> Any:
        """Apply a command that must take effect; answers its value."""
        outcome = self.apply(command, **proposal)
        assert isinstance(outcome, Applied), outcome
        return outcome.value

    def refuse(self, command: Command, **proposal: Any) -> str:
        """Apply a command that must be refused and change nothing but index and digest; its code."""
        outcome = self.apply(command, **proposal)
        assert isinstance(outcome, Rejected), outcome
        return outcome.code

    def submit(self, jobs: Iterable[JobSpec], **fields: Any) -> RunId:
        """Submit a run of these jobs."""
        self._runs += 1
        run = RunId(f"r-{self._runs:020d}")
        self.do(SubmitRun(run=run, name="test", jobs=tuple(jobs), **fields))
        return run

    def join(self, worker: str = "w1", **fields: Any) -> WorkerId:
        """A worker joins, with one slot and the capability GENERAL unless told otherwise."""
        fields = {"incarnation": 1, "name": worker, "capabilities": ("GENERAL",)} | fields
        self.do(JoinWorker(worker=WorkerId(worker), **fields))
        return WorkerId(worker)

    def assign(self, run: RunId, job_id: str, worker: str = "w1") -> AttemptId:
        """Assign a job; the worker joins if it is unknown."""
        if worker not in self.state.workers:
            self.join(worker)
        return AttemptId(
            self.do(AssignAttempt(run=run, job=JobId(job_id), worker=WorkerId(worker)))
        )

    def run_job(self, run: RunId, job_id: str, exit_code: int = 0, **fields: Any) -> None:
        """Assign a job and let it end."""
        attempt = self.assign(run, job_id)
        self.do(FinishAttempt(attempt=attempt, exit_code=exit_code, **fields))

    def wait(self, ms: int) -> int:
        """Let committed time pass; answers how many timers counted."""
        self.now_ms += ms
        fired = self.do(AdvanceTime())
        assert isinstance(fired, int)
        return fired

    def settle(self) -> int:
        """Let what is under way come to its end; answers how many entries that took."""
        entries = 0
        while self.state.unsettled:
            self.do(AdvanceTime())
            entries += 1
        return entries

    def job(self, run: RunId, job_id: str) -> Job:
        return self.state.runs[run].jobs[JobId(job_id)]

    def run(self, run: RunId) -> Run:
        return self.state.runs[run]

    def view(self, run: RunId, job_id: str) -> JobView:
        view = read(self.state, GetJob(run=run, job=job_id))
        assert isinstance(view, JobView)
        return view

    def run_view(self, run: RunId) -> RunView:
        view = read(self.state, GetRun(run=run))
        assert isinstance(view, RunView)
        return view

    def states(self, run: RunId) -> dict[str, str]:
        """Every job's state by its id."""
        return {job.id: job.state.value for job in self.state.runs[run].jobs.values()}

    def told(self, kind: type[AnyEvent]) -> list[Any]:
        """The events of a kind in the last entry."""
        return [event for event in self.events if type(event) is kind]
