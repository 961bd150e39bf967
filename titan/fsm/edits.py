"""What a batch of edits asks of a run, checked as a whole before any of it happens.

Nothing here changes the state: `draft` answers a `Draft`, which `mutations.py` carries out, or why not.
All edits of a batch are about the run as it is before; added jobs cannot be changed by the same batch.
"""

from __future__ import annotations

from typing import Final

import msgspec

from titan.fsm import budgets, edges, foreach, gates, revisions
from titan.fsm.commands.mutation import (
    Add,
    AnyEdit,
    Cancel,
    Change,
    Fields,
    Reroute,
    Rerun,
    RerunFailed,
    Skip,
    Undo,
)
from titan.fsm.declare import make_job, make_jobs
from titan.fsm.graph import why_not_asked, why_not_graph
from titan.fsm.handling import Budget
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import decode_spec
from titan.fsm.records.revisions import Changed
from titan.fsm.standing import is_over
from titan.fsm.state import Job, JobState, Run, RunState, State
from titan.fsm.triggers import assess, why_never
from titan.fsm.undo import undo
from titan.ids import JobId
from titan.spec.model import JobSpec

_FAILED: Final = (JobState.FAILED, JobState.DEAD)


class Draft:
    """A run as it is about to become."""

    def __init__(self, state: State, run: Run) -> None:
        self.state = state
        self.run = run
        self.new: list[Job] = []
        self.made: dict[JobId, Job] = {}  # the changed jobs as they would be
        self.parents: dict[JobId, tuple[JobId, ...]] = {}  # of those that get others
        self.changed: list[Changed] = []
        self.fates: dict[JobId, str] = {}  # skip | remove | cancel | rerun | restart
        self.failed: list[JobId] = []  # these run again as far as they can, in this order
        self.undone = 0
        self._by_fate: dict[str, list[JobId]] = {}
        self._added: list[JobSpec] = []
        self._specs: dict[JobId, JobSpec] = {}
        self._tolerant: dict[JobId, None] = {}  # reruns that are left out when they cannot start

    @property
    def is_empty(self) -> bool:
        """Whether the run is as asked already."""
        return not (self.new or self.changed or self.fates or self.failed)

    def having(self, fate: str) -> list[JobId]:
        """The jobs that this is to happen to."""
        return self._by_fate.get(fate, [])

    # --- one edit after the other ---------------------------------------------------------------

    def take(self, edit: AnyEdit) -> Rejected | None:
        """Take an edit in."""
        match edit:
            case Add():
                self._added.extend(edit.jobs)
            case RerunFailed():
                return self._take_rerun_failed()
            case Undo():
                found = revisions.find(self.state, self.run, edit.revision)
                return found if isinstance(found, Rejected) else undo(self, found)
            case _:
                job = self.run.jobs.get(edit.job)
                if job is None:
                    why = f"run {self.run.id} has no job '{edit.job[:200]}'"
                    return Rejected("unknown_job", why)
                return self._take_about(job, edit)
        return None

    def _take_about(
        self, job: Job, edit: Change | Skip | Cancel | Reroute | Rerun
    ) -> Rejected | None:
        if job.id in self.run.foreach and isinstance(edit, Change | Skip | Reroute):
            why = f"job '{job.id}' has its instances already: change those, or cancel it"
            return Rejected("already_started", why)
        match edit:
            case Change():
                return _why_begun(job, "be changed") or self.change(job, edit.set)
            case Skip():
                return _why_begun(job, "be skipped") or self.decide(job, "skip")
            case Cancel():
                return None if job.state.is_over else self.decide(job, "cancel")
            case Reroute():
                return self._take_reroute(job, edit)
            case Rerun():
                return self._take_rerun(job, edit)

    def _take_reroute(self, job: Job, edit: Reroute) -> Rejected | None:
        if edit.requirement is None and edit.affinity is None and not edit.restart:
            return Rejected("invalid", f"job '{job.id}': say where it is to run")
        if job.id in self.run.services and job.live:
            why = f"job '{job.id}' is a service that runs; deploy its next version instead"
            return Rejected("already_started", why)
        if job.state is JobState.RUNNING and job.live and edit.restart:
            refusal = self.decide(job, "restart")
        else:
            hint = "be run elsewhere"
            refusal = _why_begun(job, f"{hint} unless it is restarted" if job.live else hint)
        where = Fields(requirement=edit.requirement, affinity=edit.affinity)
        return refusal or self.change(job, where)

    def _take_rerun(self, job: Job, edit: Rerun) -> Rejected | None:
        if edit.only_if:
            if job.state != edit.only_if:
                return None
            self._tolerant[job.id] = None
        if not job.state.is_over:
            return Rejected("not_over", f"job '{job.id}' has not ended")
        return self.decide(job, "rerun")

    def _take_rerun_failed(self) -> Rejected | None:
        jobs = self.run.jobs.values()
        has_failed = any(state in self.run.counts for state in _FAILED)
        wanted = _FAILED if has_failed else (JobState.CANCELLED,)
        failed = [job.id for job in jobs if job.state in wanted]
        if not failed:
            return Rejected("nothing_failed", f"no job of run {self.run.id} has failed")
        self.failed = failed
        return None

    # --- what edits come down to ----------------------------------------------------------------

    def change(self, job: Job, to: Fields) -> Rejected | None:
        """Other fields for a job; its place in the graph is checked at the end."""
        given = to.given()
        if given:
            spec = msgspec.structs.replace(self._specs.get(job.id) or decode_spec(job), **given)
            if "depends_on" in given:
                [spec] = gates.behind_known_gates(self.run, [spec])
            self._specs[job.id] = foreach.with_item_of(spec, job)
        return None

    def decide(self, job: Job, fate: str) -> Rejected | None:
        """Something is to happen to a job, and nothing else."""
        known = self.fates.get(job.id)
        if known is None:
            self.fates[job.id] = fate
            self._by_fate.setdefault(fate, []).append(job.id)
            return None
        if known == fate:
            return None
        return Rejected("invalid", f"job '{job.id}': {known} and {fate} contradict each other")

    def parents_of(self, job: Job) -> tuple[JobId, ...]:
        """As they would be."""
        spec = self._specs.get(job.id)
        return job.parents if spec is None else spec.depends_on

    # --- all of them ----------------------------------------------------------------------------

    def finish(self, budget: Budget) -> Rejected | None:
        """Check the whole."""
        return (
            self._make_changed()
            or self._make_new()
            or edges.why_not_edges(
                self.run, self.parents, new={job.id: job for job in self.new}, budget=budget
            )
            or why_not_asked(
                [self.made[name] for name in self.parents],
                new={**{job.id: job for job in self.new}, **self.made},
                known=self.run.jobs,
            )
            or self._why_not_reruns()
        )

    def _make_changed(self) -> Rejected | None:
        for name, spec in self._specs.items():
            job = self.run.jobs[name]
            made = make_job(spec)
            if isinstance(made, Rejected):
                return made
            made.parents = tuple(dict.fromkeys(made.parents))
            changed = _difference(decode_spec(job), spec)
            if changed is None:
                continue
            self.changed.append(changed)
            self.made[name] = made
            if made.parents != job.parents:
                self.parents[name] = made.parents
                if self.fates.get(name) in ("skip", "remove"):
                    why = f"job '{name}': other parents and to be skipped contradict each other"
                    return Rejected("invalid", why)
        return None

    def _make_new(self) -> Rejected | None:
        if not self._added:
            return None
        run = self.run
        has_ended = is_over(run) and (run.cancelled or run.state is RunState.CANCELLED)
        if has_ended and not self.having("rerun") and not self.failed:
            return Rejected("run_over", f"run {run.id} was cancelled")
        made = make_jobs(gates.behind_known_gates(run, self._added))
        if isinstance(made, Rejected):
            return made
        self.new = made
        refusal = why_not_graph(made, known=run.jobs)
        return refusal or budgets.why_not_more(self.state, run, jobs=len(made))

    def _why_not_reruns(self) -> Rejected | None:
        """Jobs that wait for others of them to run again come last; those that never could are refused."""
        first: list[JobId] = []
        last: list[JobId] = []
        for name in self.having("rerun"):
            job = self.run.jobs[name]
            culprit = None if name in self._tolerant else assess(self.run, job).culprit
            if culprit is None:
                first.append(name)
            elif self.fates.get(culprit.id) == "rerun":
                last.append(name)
            else:
                why = f"job '{name}' could not start: {why_never(job, culprit)}; rerun that one"
                return Rejected("not_ready", why)
        self._by_fate["rerun"] = first + last
        return None


def draft(
    state: State, run: Run, edits: tuple[AnyEdit, ...], *, budget: Budget
) -> Draft | Rejected:
    """All of the edits together, or the first reason why not."""
    made = Draft(state, run)
    for edit in edits:
        refusal = made.take(edit)
        if refusal is not None:
            return refusal
    return made.finish(budget) or made


def _why_begun(job: Job, what: str) -> Rejected | None:
    if job.state is JobState.PENDING:
        return None
    code = "already_over" if job.state.is_over else "already_started"
    return Rejected(code, f"job '{job.id}' is {job.state.value} and cannot {what}")


def _difference(old: JobSpec, new: JobSpec) -> Changed | None:
    names = [n for n in Fields.__struct_fields__ if getattr(old, n) != getattr(new, n)]
    if not names:
        return None
    before = Fields(**{name: getattr(old, name) for name in names})
    return Changed(old.id, before, Fields(**{name: getattr(new, name) for name in names}))
