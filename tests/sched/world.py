"""A cluster in miniature for planning: the real state machine, a clock, and the planner under test."""

from __future__ import annotations

from collections.abc import Sequence

from titan.fsm.commands import (
    ENTRY_FORMAT,
    VERSION,
    AddJobs,
    AdvanceTime,
    AssignAttempt,
    CancelJob,
    Command,
    Entry,
    ExpireWorker,
    FinishAttempt,
    JoinWorker,
    Proposal,
    RaiseVersion,
    ReleaseAttempt,
    RetryJob,
    SetWorkerMode,
    SubmitRun,
    encode_entry,
)
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Applied, Outcome
from titan.fsm.state import Attempt, Job, State
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.sched.durations import Durations
from titan.sched.planner import Planner
from titan.spec.model import JobSpec


def job(name: str, *parents: str, **fields: object) -> JobSpec:
    return JobSpec(
        id=JobId(name),
        shell=b"true",
        depends_on=tuple(JobId(p) for p in parents),
        **fields,  # type: ignore[arg-type]
    )


class World:
    def __init__(self) -> None:
        self.machine = Machine()
        self.now_ms = 1_000
        self.planner = Planner(self.state)
        self.sessions: dict[WorkerId, None] = {}
        self._runs = 0
        self.must(RaiseVersion(version=VERSION))

    # --- the log ------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.machine.state

    def apply_entry(self, *commands: Command, observed: bool = True) -> Sequence[Outcome]:
        """One entry of the log; the planner hears of it when all of it is applied."""
        proposals = tuple(Proposal(command) for command in commands)  # type: ignore[arg-type]
        entry = Entry(ENTRY_FORMAT, 1, self.now_ms, proposals)
        result = self.machine.apply(self.state.index + 1, encode_entry(entry))
        if observed:
            self.planner.observe(result.events)
        return result.outcomes

    def apply(self, command: Command, *, observed: bool = True) -> Outcome:
        return self.apply_entry(command, observed=observed)[0]

    def must(self, command: Command) -> Applied:
        outcome = self.apply(command)
        assert isinstance(outcome, Applied), outcome
        return outcome

    # --- workers ------------------------------------------------------------------------------

    def join(
        self, name: str, *, slots: int = 1, tags: tuple[str, ...] = ("GENERAL",), **resources: int
    ) -> WorkerId:
        worker = WorkerId(name)
        known = self.state.workers.get(worker)
        self.must(
            JoinWorker(
                worker=worker,
                incarnation=1 if known is None else known.incarnation + 1,
                capabilities=tags,
                slots=slots,
                resources=resources,
            )
        )
        self.connect(worker)
        return worker

    def connect(self, worker: WorkerId) -> None:
        self.sessions[worker] = None
        self.planner.session_up(worker)

    def disconnect(self, worker: WorkerId) -> None:
        self.sessions.pop(worker, None)
        self.planner.session_down(worker)

    def expire(self, worker: WorkerId) -> None:
        self.disconnect(worker)
        self.must(ExpireWorker(worker=worker, incarnation=self.state.workers[worker].incarnation))

    def set_mode(self, worker: WorkerId, mode: str) -> None:
        self.must(SetWorkerMode(worker=worker, mode=mode))

    # --- runs ---------------------------------------------------------------------------------

    def submit(self, *jobs: JobSpec, name: str = "pipe") -> RunId:
        self._runs += 1
        run = RunId(f"r-{self._runs:020d}")
        self.must(SubmitRun(run=run, name=name, jobs=jobs))
        return run

    def add(self, run: RunId, *jobs: JobSpec) -> Outcome:
        return self.apply(AddJobs(run=run, jobs=jobs))

    def job(self, run: RunId, name: str) -> Job:
        found = self.state.job(run, JobId(name))
        assert found is not None
        return found

    def cancel(self, run: RunId, name: str) -> Outcome:
        return self.apply(CancelJob(run=run, job=JobId(name)))

    def retry(self, run: RunId, name: str) -> Outcome:
        return self.apply(RetryJob(run=run, job=JobId(name)))

    def sleep(self, ms: int) -> None:
        self.now_ms += ms
        self.must(AdvanceTime())

    # --- attempts -----------------------------------------------------------------------------

    def propose(self, *, limit: int = 10_000) -> list[AssignAttempt]:
        return self.planner.plan(now_ms=self.now_ms, limit=limit)

    def commit(
        self, proposals: Sequence[AssignAttempt], *, before: Sequence[Command] = ()
    ) -> list[Outcome]:
        """One entry: other commands, then the proposals."""
        outcomes = list(self.apply_entry(*before, *proposals))[len(before) :]
        for proposal, outcome in zip(proposals, outcomes, strict=True):
            self.planner.settled(proposal, accepted=isinstance(outcome, Applied))
        return outcomes

    def plan(self, *, limit: int = 10_000) -> list[tuple[str, str]]:
        """Propose and commit. Answers (job, worker) pairs; the machine must agree with each."""
        proposals = self.propose(limit=limit)
        for proposal, outcome in zip(proposals, self.commit(proposals), strict=True):
            assert isinstance(outcome, Applied), f"{proposal} was refused: {outcome}"
        return [(p.job, p.worker) for p in proposals]

    def live(self, run: RunId, name: str) -> Attempt:
        return self.state.attempts[self.job(run, name).live]

    def finish(self, attempt: AttemptId, *, exit_code: int = 0, us: int = 0) -> None:
        self.must(FinishAttempt(attempt=attempt, exit_code=exit_code, duration_us=us))

    def end(self, run: RunId, name: str, *, exit_code: int = 0, us: int = 0) -> None:
        self.finish(self.live(run, name).id, exit_code=exit_code, us=us)

    def give_back(self, attempt: AttemptId) -> None:
        self.must(ReleaseAttempt(attempt=attempt, cause="retracted"))

    def rebuilt(self, *, durations: Durations | None = None) -> Planner:
        planner = Planner(self.state, durations=durations)
        for worker in self.sessions:
            planner.session_up(worker)
        return planner

    def learn(self, *, name: str = "pipe", us: int = 5_000) -> None:
        """Let the planner know how long jobs of a run usually take."""
        self.planner.durations.observe(name, us)
