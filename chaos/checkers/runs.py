"""What a run promises: no acknowledged submission is lost, one result per job is accepted, parents end
before children start, attempts are fenced, everything ends.

Three witnesses are compared: what clients were told (operations), what the jobs themselves wrote into
files of their own (`exec` events), and what the cluster says at the end (`final` event).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from chaos.checkers.violation import Violation
from chaos.history import History

SERVICE_ENDS: Final = ("stopped", "replaced by run ")  # a service has no result
ENDED: Final = frozenset({"COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED"})


@dataclass(slots=True)
class JobStory:
    """One job: how it was declared, what its processes wrote, what the cluster says."""

    run: str
    id: str
    parents: tuple[str, ...] = ()
    execs: list[dict[str, Any]] = field(default_factory=list)
    view: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"{self.run}/{self.id}"

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """Attempts that the cluster counts as successful."""
        history = self.view["history"] if self.view else []
        return [one for one in history if not one["cause"] and one["exit_code"] == 0]

    def exec_of(self, attempt: int) -> dict[str, Any] | None:
        """What the process of an attempt wrote."""
        return next((one for one in self.execs if one["attempt"] == attempt), None)


def check_runs(history: History) -> list[Violation]:
    """Everything that is wrong with the runs of a history."""
    final = next(history.of("final"), None)
    if final is None:
        return []
    retried = {op.key for op in history.with_verb("retry")}
    stories = _stories(history, final["runs"])
    found = [*_lost(history, final["runs"]), *_stuck(final["runs"])]
    for story in stories.values():
        found += _execution(story)
        found += _order(story, stories)
        if story.run not in retried:
            found += _acceptance(story)
    return found


def _stories(history: History, runs: dict[str, Any]) -> dict[tuple[str, str], JobStory]:
    stories: dict[tuple[str, str], JobStory] = {}
    for op in history.with_verb("submit"):
        for job in op.args[0]:
            stories[op.key, job["id"]] = JobStory(op.key, job["id"], tuple(job["parents"]))
    for one in history.of("exec"):
        place = one["run"], one["job"]
        stories.setdefault(place, JobStory(*place)).execs.append(one)
    for run, view in runs.items():
        for job in view["jobs"]:
            stories.setdefault((run, job["id"]), JobStory(run, job["id"])).view = job
    return stories


def _lost(history: History, runs: dict[str, Any]) -> Iterator[Violation]:
    for op in history.with_verb("submit"):
        if not op.known:
            continue
        if op.key not in runs:
            yield Violation("no acknowledged submission is lost", f"run {op.key} is gone")
            continue
        wanted = sorted(job["id"] for job in op.args[0])
        there = sorted(job["id"] for job in runs[op.key]["jobs"])
        if wanted != there:
            what = f"run {op.key} was submitted with jobs {wanted} and has {there}"
            yield Violation("no acknowledged submission is lost", what)


def _stuck(runs: dict[str, Any]) -> Iterator[Violation]:
    for run, view in runs.items():
        left = [
            f"{j['id']} {j['state']}: {j['reason']}"
            for j in view["jobs"]
            if j["state"] not in ENDED
        ]
        if left:
            yield Violation("nothing stays stuck", f"run {run} has not ended", tuple(left))
        elif not view["over"]:
            yield Violation("nothing stays stuck", f"every job of run {run} ended, the run did not")


def _execution(story: JobStory) -> Iterator[Violation]:
    """Each attempt ran at most once, and a later attempt has a larger fence."""
    for attempt, times in Counter(one["attempt"] for one in story.execs).items():
        if times > 1:
            yield Violation(
                "an attempt runs once", f"{story.name} attempt {attempt} ran {times} times"
            )
    ordered = sorted(story.execs, key=lambda one: one["attempt"])
    for earlier, later in pairwise(ordered):
        if earlier["attempt"] != later["attempt"] and earlier["fence"] >= later["fence"]:
            what = (
                f"{story.name}: a later attempt has fence {later['fence']} after {earlier['fence']}"
            )
            yield Violation("attempts are fenced", what)


def _acceptance(story: JobStory) -> Iterator[Violation]:
    """One result at most, of the newest attempt, and it is what that process really did."""
    if story.view is None:
        return
    accepted = story.accepted
    if len(accepted) > 1:
        what = f"{story.name} has {len(accepted)} accepted results"
        yield Violation("one accepted result", what, tuple(map(str, story.view["history"])))
    is_ended_service = story.view["reason"].startswith(SERVICE_ENDS)
    if story.view["state"] == "COMPLETED" and not accepted and not is_ended_service:
        yield Violation("one accepted result", f"{story.name} completed without a result")
    for one in accepted:
        run = story.exec_of(one["attempt"])
        if run is None or run.get("code") != 0:
            what = f"{story.name} attempt {one['attempt']} is accepted as a success"
            yield Violation("results are real", what, (f"its process wrote: {run}",))
        newer = [e for e in story.execs if e["attempt"] > one["attempt"]]
        if newer:
            what = f"{story.name} attempt {one['attempt']} was accepted although it was superseded"
            yield Violation("attempts are fenced", what, tuple(map(str, newer)))


def _order(story: JobStory, stories: dict[tuple[str, str], JobStory]) -> Iterator[Violation]:
    """No process of a child started before a successful process of each parent had ended."""
    for parent in story.parents:
        ends = [
            one["ended_ns"]
            for one in stories[story.run, parent].execs
            if one.get("code") == 0 and "ended_ns" in one
        ]
        for one in story.execs:
            if not ends or one["started_ns"] < min(ends):
                what = f"{story.name} attempt {one['attempt']} started before its parent {parent} ended"
                yield Violation(
                    "parents before children", what, (f"parent ended at {ends}", str(one))
                )
