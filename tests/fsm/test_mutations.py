"""Changing a live run: each edit, all or nothing, its history, and what undoing means."""

from __future__ import annotations

import graphlib
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.driver import MachineDriver, chain, job
from tests.fsm.logs import entry_logs, steps_at_most
from tests.fsm.test_properties import BUDGETS, slowly
from titan import limits
from titan.errors import NotFound
from titan.fsm import edges
from titan.fsm.commands import (
    ENTRY_FORMAT,
    AddJobs,
    CancelRun,
    Entry,
    FinishAttempt,
    MutateRun,
    Proposal,
    RaiseVersion,
    encode_entry,
)
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
from titan.fsm.events import AttemptRevoked, JobReady, JobWithdrawn
from titan.fsm.handling import Budget
from titan.fsm.machine import Machine
from titan.fsm.outcomes import SETTLING, Applied, Rejected
from titan.fsm.policy import decode_spec
from titan.fsm.queries.graph import GetGraph, GraphView, ListRevisions, RevisionView
from titan.fsm.views import read
from titan.ids import JobId, RunId

J = JobId


def change(name: str, **fields: Any) -> Change:
    if "depends_on" in fields:
        fields["depends_on"] = tuple(map(J, fields["depends_on"]))
    return Change(job=J(name), set=Fields(**fields))


def mutate(machine: MachineDriver, run: RunId, *edits: AnyEdit, **fields: Any) -> int:
    revision = machine.do(MutateRun(run=run, edits=edits, **fields))
    assert revision == machine.run(run).revision
    return int(revision)


def refuse(machine: MachineDriver, run: RunId, *edits: AnyEdit, **fields: Any) -> str:
    return machine.refuse(MutateRun(run=run, edits=edits, **fields))


def graph(machine: MachineDriver, run: RunId, at: int = 0) -> dict[str, tuple[str, ...]]:
    view = read(machine.state, GetGraph(run=run, at=at))
    assert isinstance(view, GraphView)
    return {vertex.id: tuple(vertex.fields.depends_on or ()) for vertex in view.jobs}


def history(machine: MachineDriver, run: RunId) -> list[RevisionView]:
    found: list[RevisionView] = read(machine.state, ListRevisions(run=run))
    return found


# --- fields ---------------------------------------------------------------------------------------


def test_what_has_not_started_gets_other_fields_and_the_planner_hears_of_it(
    machine: MachineDriver,
) -> None:
    run = machine.submit(chain("a", "b"))
    fields = {"priority": 9, "requirement": ("GPU",), "retries": 7, "timeout_ms": 5}
    mutate(machine, run, change("a", resources={"gpus": 1}, env={"X": "1"}, args=(b"v",), **fields))
    assert [event.job for event in machine.told(JobReady)] == ["a"]
    spec = decode_spec(machine.job(run, "a"))
    assert {name: getattr(spec, name) for name in fields} == fields
    assert (spec.env, spec.args, spec.argv) == ({"X": "1"}, (b"v",), (b"true",))
    assert machine.job(run, "a").priority == 9
    assert machine.view(run, "a").reason == "waits for a worker with GPU"
    machine.join("w1")
    machine.join("gpu", capabilities=("GPU",), resources={"gpus": 1})
    machine.assign(run, "a", "gpu")
    assert machine.state.workers["gpu"].used == {"gpus": 1}  # type: ignore[index]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (change("running", priority=2), "already_started"),
        (change("done", priority=2), "already_over"),
        (change("nowhere", priority=2), "unknown_job"),
        (change("last", retries=-1), "invalid_job"),
        (change("last", requirement=()), "invalid_job"),
        (change("last", env={"x": "y" * 70_000}), "too_large"),
        (change("last", depends_on=("nowhere",)), "unknown_parent"),
        (change("middle", depends_on=("last",)), "cycle"),
        (change("middle", depends_on=("middle",)), "cycle"),
        (Skip(job=J("running")), "already_started"),
        (Skip(job=J("done")), "already_over"),
        (Rerun(job=J("running")), "not_over"),
        (Reroute(job=J("running"), requirement=("GPU",)), "already_started"),
        (Reroute(job=J("middle")), "invalid"),
        (Add(jobs=(job("done"),)), "duplicate_job"),
        (Add(jobs=(job("n", "m"), job("m", "n"))), "cycle"),
        (Add(jobs=(job("n", "nowhere"),)), "unknown_parent"),
        (RerunFailed(), "nothing_failed"),
        (Undo(), "unknown_revision"),
    ],
)
def test_a_batch_with_one_impossible_edit_changes_nothing(
    machine: MachineDriver, edit: AnyEdit, code: str
) -> None:
    run = machine.submit(chain("done", "running", "middle", "last"))
    machine.run_job(run, "done")
    machine.assign(run, "running")
    good = change("last", priority=5)
    other = Add(jobs=(job("new", "last"),))
    before = _essence(machine)
    assert refuse(machine, run, other, good, edit) == code
    assert _essence(machine) == before
    mutate(machine, run, other, good)


def _essence(machine: MachineDriver) -> list[bytes]:
    return list(machine.machine.freeze())[1:]  # all but index and digest


def test_only_whole_batches_happen_and_only_at_the_expected_revision(
    machine: MachineDriver,
) -> None:
    run = machine.submit(chain("a", "b"))
    first = mutate(machine, run, change("b", priority=2), if_revision=machine.run(run).revision)
    assert (
        refuse(machine, run, change("b", priority=3), if_revision=first - 1) == "revision_changed"
    )
    assert mutate(machine, run, change("b", priority=2)) == first, "nothing was to change"
    assert mutate(machine, run, change("b", priority=3), if_revision=first) > first


def test_two_changes_in_one_entry_have_different_revisions(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    edits = [MutateRun(run=run, edits=(change("b", priority=n),)) for n in (2, 3)]
    one, two = machine.propose(*map(Proposal, edits))
    assert isinstance(one, Applied)
    assert isinstance(two, Applied)
    assert one.value < two.value


def test_a_task_changes_its_own_run_while_its_attempt_lives(machine: MachineDriver) -> None:
    run, other = machine.submit(chain("a", "b")), machine.submit(chain("a", "b"))
    attempt = machine.assign(run, "a")
    edits = (change("b", priority=2),)
    assert machine.refuse(MutateRun(run=other, edits=edits), attempt=attempt) == "not_own_run"
    machine.do(MutateRun(run=run, edits=edits, by="somebody"), attempt=attempt)
    assert history(machine, run)[0].by == "job 'a', attempt 1"
    machine.do(FinishAttempt(attempt=attempt, exit_code=0))
    late = MutateRun(run=run, edits=(change("b", priority=3),))
    assert machine.refuse(late, attempt=attempt) == "attempt_not_live"


# --- parents --------------------------------------------------------------------------------------


def test_a_ready_job_with_a_new_parent_waits_for_it(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b")])
    mutate(machine, run, change("b", depends_on=("a",)))
    assert [event.job for event in machine.told(JobWithdrawn)] == ["b"]
    assert machine.job(run, "a").children == ("b",)
    assert machine.view(run, "b").reason == "waits for a"
    machine.run_job(run, "a")
    assert [event.job for event in machine.told(JobReady)] == ["b"]


def test_a_waiting_job_starts_when_its_new_parents_have_ended(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b"), job("c", "b", delay_ms=100)])
    machine.run_job(run, "a")
    mutate(machine, run, change("c", depends_on=("a",)))
    assert machine.job(run, "c").not_before_ms == machine.now_ms + 100
    mutate(machine, run, change("c", depends_on=("a", "b")))
    assert not machine.job(run, "c").not_before_ms, "its delay starts anew once it is unblocked"


def test_new_parents_that_failed_skip_a_job_and_what_follows(machine: MachineDriver) -> None:
    run = machine.submit([job("bad", retries=0), *chain("b", "c")])
    machine.run_job(run, "bad", exit_code=1)
    mutate(machine, run, change("b", depends_on=("bad",)))
    assert machine.states(run) == {"bad": "FAILED", "b": "SKIPPED", "c": "SKIPPED"}
    assert machine.view(run, "b").reason == "parent 'bad' is FAILED"


def test_a_new_job_may_stand_before_one_that_waits(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "c"))
    attempt = machine.assign(run, "a")
    mutate(machine, run, Add(jobs=(job("b", "a"),)), change("c", depends_on=("b",)))
    assert graph(machine, run) == {"a": (), "c": ("b",), "b": ("a",)}
    machine.do(FinishAttempt(attempt=attempt, exit_code=0))
    machine.run_job(run, "b")
    machine.run_job(run, "c")
    assert machine.run(run).state == "COMPLETED"


def test_a_cycle_through_new_and_old_jobs_is_told_with_its_path(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b", "c"))
    command = MutateRun(
        run=run, edits=(Add(jobs=(job("n", "c"),)), change("b", depends_on=("n", "a")))
    )
    outcome = machine.apply(command)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "cycle"
    path = outcome.why.split(" → ")
    assert path[0] == path[-1]
    assert sorted(path[1:]) == ["b", "c", "n"]


def test_two_changes_that_together_turn_an_edge_round_are_no_cycle(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    assert refuse(machine, run, change("a", depends_on=("b",))) == "cycle"
    mutate(machine, run, change("a", depends_on=("b",)), change("b", depends_on=()))
    assert graph(machine, run) == {"a": ("b",), "b": ()}
    assert [event.job for event in machine.told(JobReady)][-1] == "b"


def test_searches_of_one_entry_share_a_bound_and_the_rest_waits_for_the_next_entry(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GRAPH_SEARCH_STEPS_MAX", 700)
    runs = [machine.submit(chain(*(f"j{n}" for n in range(500)))) for _ in range(3)]
    edit = change("j250", depends_on=("j247", "j249"))
    found = machine.propose(*(Proposal(MutateRun(run=run, edits=(edit,))) for run in runs))
    assert [getattr(outcome, "code", "") for outcome in found] == ["", SETTLING, SETTLING]
    mutate(machine, runs[1], edit)
    monkeypatch.setattr(limits, "GRAPH_SEARCH_STEPS_MAX", 300)
    assert refuse(machine, runs[2], edit) == "too_large"


def test_the_search_looks_at_the_smaller_side(machine: MachineDriver) -> None:
    run = machine.run(machine.submit([*chain(*(f"j{n}" for n in range(5000))), job("x")]))
    for name, parents in (("j4999", ("x", "j4998")), ("x", ("j4000",))):
        budget = Budget()
        assert edges.why_not_edges(run, {J(name): parents}, new={}, budget=budget) is None  # type: ignore[dict-item]
        assert limits.GRAPH_SEARCH_STEPS_MAX - budget.search_left < 600


@slowly
@given(st.randoms(use_true_random=False))
def test_cycles_are_found_exactly_and_told_as_they_are(dice: random.Random) -> None:
    machine = MachineDriver()
    names = [f"j{n}" for n in range(12)]
    jobs = [job(name, *dice.sample(names[:at], min(at, 2))) for at, name in enumerate(names)]
    run = machine.run(machine.submit(jobs))
    changed = {
        J(name): tuple(map(J, dice.sample(names, dice.randrange(3))))
        for name in dice.sample(names, dice.randrange(1, 5))
    }
    graph = {**{one.id: one.parents for one in run.jobs.values()}, **changed}
    try:
        graphlib.TopologicalSorter(graph).prepare()
        is_cyclic = False
    except graphlib.CycleError:
        is_cyclic = True
    found = edges.why_not_edges(run, changed, new={}, budget=Budget())
    assert (found is not None) == is_cyclic
    if found is None:
        mutate(machine, run.id, *(change(name, depends_on=to) for name, to in changed.items()))
        assert {one.id: one.parents for one in run.jobs.values()} == graph
        return
    path = found.why.split(" → ")
    assert path[0] == path[-1]
    for parent, child in pairwise(path):
        assert parent in graph[J(child)]


# --- skipping, cancelling, elsewhere --------------------------------------------------------------


def test_children_of_a_skipped_job_decide_by_their_triggers(machine: MachineDriver) -> None:
    jobs = [job("a"), job("s", "a"), job("t", "s"), job("u", "s", trigger="all_done")]
    run = machine.submit([*jobs, job("v", "u"), job("w", "s", trigger="none_failed")])
    mutate(machine, run, Skip(job=J("s")), note="not today", by="ann")
    states = {"s": "SKIPPED", "t": "SKIPPED", "u": "PENDING", "v": "PENDING", "w": "PENDING"}
    assert machine.states(run) == {"a": "PENDING", **states}
    assert machine.view(run, "s").reason == "skipped by ann: not today"
    assert [event.job for event in machine.told(JobReady)] == ["u", "w"]


def test_a_ready_job_that_is_skipped_is_not_assigned(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", queue_timeout_ms=50), job("c", delay_ms=50)])
    mutate(machine, run, *(Skip(job=J(name)) for name in "abc"))
    assert sorted(event.job for event in machine.told(JobWithdrawn)) == ["a", "b"]
    assert machine.run(run).state == "COMPLETED"
    assert machine.wait(100) == 0


def test_a_queued_job_is_routed_elsewhere_and_a_running_one_only_when_it_is_told_to_restart(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a", delay_ms=5, queue_timeout_ms=9), job("b")])
    machine.wait(5)
    mutate(machine, run, Reroute(job=J("b"), requirement=("GPU",)))
    attempt = machine.assign(run, "a")
    where = Reroute(job=J("a"), requirement=("GPU",), affinity=True, restart=True)
    mutate(machine, run, where)
    [revoked] = machine.told(AttemptRevoked)
    assert (revoked.attempt, revoked.cause) == (attempt, "rerouted")
    found = machine.job(run, "a")
    assert (found.live, found.retries_used, found.not_before_ms) == (0, 0, 0)
    assert found.queue_due_ms == machine.now_ms + 9
    assert found.demand.requirement == ("GPU",)
    assert machine.refuse(FinishAttempt(attempt=attempt, exit_code=0)) == "attempt_not_live"
    machine.join("gpu", capabilities=("GPU",))
    machine.assign(run, "a", "gpu")


def test_one_batch_skips_cancels_and_runs_again_in_that_order(machine: MachineDriver) -> None:
    run = machine.submit(
        [
            job("bad", retries=0),
            job("after", "bad"),
            job("s"),
            job("t", "s", trigger="all_done"),
            job("x"),
            job("y", "x"),
        ]
    )
    machine.run_job(run, "bad", exit_code=1)
    mutate(machine, run, Rerun(job=J("bad")), Cancel(job=J("x")), Skip(job=J("s")))
    assert machine.states(run) == {
        "bad": "PENDING",
        "after": "PENDING",
        "s": "SKIPPED",
        "t": "PENDING",
        "x": "CANCELLED",
        "y": "CANCELLED",
    }
    contradiction = (Skip(job=J("t")), Cancel(job=J("t")))
    assert refuse(machine, run, *contradiction) == "invalid"


def test_with_tiny_budgets_a_batch_ends_as_with_a_large_one() -> None:
    def play(steps: int) -> MachineDriver:
        machine = MachineDriver()
        with steps_at_most(steps):
            run = machine.submit(
                [
                    job("bad", retries=0),
                    *(job(f"b{n}", "bad") for n in range(9)),
                    job("s"),
                    *(job(f"t{n}", "s", trigger="all_done") for n in range(9)),
                    job("x", "s"),
                    *chain("x0", "x1", "x2", "x3"),
                ]
            )
            machine.run_job(run, "bad", exit_code=1)
            machine.settle()
            machine.assign(run, "x0")
            mutate(machine, run, Skip(job=J("s")), Cancel(job=J("x0")), Rerun(job=J("bad")))
            assert bool(machine.state.unsettled) == bool(steps)
            if steps:
                assert refuse(machine, run, Skip(job=J("t1"))) == SETTLING
                assert "a change of its run" in machine.view(run, "t8").reason
            machine.settle()
        return machine

    slow, fast = play(2), play(0)
    for each in (*slow.state.runs.values(), *fast.state.runs.values()):
        each.revision = 0  # the logs are not equally long
    assert list(slow.state.runs.values()) == list(fast.state.runs.values())


# --- running again --------------------------------------------------------------------------------


def test_every_failed_job_runs_again_with_what_it_took_along(machine: MachineDriver) -> None:
    run = machine.submit(
        [job("ok"), job("f", retries=0), job("g", "f"), job("d", retries=1, retry_backoff_ms=0)]
    )
    machine.run_job(run, "ok")
    machine.run_job(run, "f", exit_code=1)
    for _ in range(2):
        machine.run_job(run, "d", exit_code=1)
    assert machine.run(run).state == "FAILED"
    mutate(machine, run, RerunFailed())
    states = {"ok": "COMPLETED", "f": "PENDING", "g": "PENDING", "d": "PENDING"}
    assert machine.states(run) == states
    assert len(machine.job(run, "d").history) == 2, "the run keeps its history"


def test_what_was_cancelled_runs_again_where_nothing_failed(machine: MachineDriver) -> None:
    run = machine.submit([job("late", "first"), job("first"), job("end", "late")])
    machine.do(CancelRun(run=run))
    mutate(machine, run, RerunFailed())
    assert set(machine.states(run).values()) == {"PENDING"}
    assert not machine.run(run).cancelled


def test_of_jobs_that_run_again_together_the_order_does_not_matter(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b", "a"), job("c", "b")])
    machine.run_job(run, "a", exit_code=1)
    assert refuse(machine, run, Rerun(job=J("b"))) == "not_ready"
    mutate(machine, run, Rerun(job=J("b"), only_if="SKIPPED"))
    assert machine.states(run)["b"] == "SKIPPED", "left out: it could not start"
    mutate(machine, run, *(Rerun(job=J(name)) for name in "bca"))
    assert set(machine.states(run).values()) == {"PENDING"}


# --- history --------------------------------------------------------------------------------------


def test_every_revision_can_be_looked_at(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    at = [machine.run(run).revision]
    at.append(mutate(machine, run, change("b", priority=4, depends_on=()), by="ann", note="why"))
    machine.do(AddJobs(run=run, jobs=(job("c", "b"),), by="bob"))
    at.append(machine.run(run).revision)
    at.append(mutate(machine, run, change("c", depends_on=("a", "b")), Skip(job=J("b"))))
    assert [graph(machine, run, number) for number in (*at, 0)] == [
        {"a": (), "b": ("a",)},
        {"a": (), "b": ()},
        {"a": (), "b": (), "c": ("b",)},
        {"a": (), "b": (), "c": ("a", "b")},
        {"a": (), "b": (), "c": ("a", "b")},
    ]
    told = history(machine, run)
    assert [(one.revision, one.by, one.note) for one in told] == [
        (at[3], "", ""),
        (at[2], "bob", ""),
        (at[1], "ann", "why"),
    ]
    assert [one.edits for one in told] == [
        ["c: depends_on b → a, b", "skipped b"],
        ["added c"],
        ["b: priority 1 → 4", "b: depends_on a → none"],
    ]
    with pytest.raises(NotFound, match="is known from revision"):
        graph(machine, run, at[0] - 1)


def test_the_history_is_bounded_by_number_and_by_size_and_goes_with_its_run(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REVISIONS_PER_RUN_MAX", 5)
    monkeypatch.setattr(limits, "REVISION_BYTES_PER_RUN_MAX", 4000)
    monkeypatch.setattr(limits, "REVISION_BYTES_MAX", 6000)
    run, other = machine.submit(chain("a", "b")), machine.submit(chain("a", "b"))
    assert not machine.state.histories, "runs that never change have none"
    for number in range(9):
        mutate(machine, run, change("b", priority=10 + number))
    assert len(history(machine, run)) == 5
    mutate(machine, run, change("b", env={"x": "y" * 3500}))
    assert len(history(machine, run)) in (2, 3, 4, 5)
    assert machine.state.histories[run].size <= 4000
    mutate(machine, other, change("b", env={"x": "y" * 3500}))
    assert machine.state.history_bytes <= 6000
    assert history(machine, other)
    mutate(machine, other, change("b", env={"x": "y" * 5000}))
    assert not history(machine, other), "too large to be kept at all"
    for each in (run, other):
        machine.do(CancelRun(run=each))
    machine.wait(limits.FINISHED_KEEP_MS + 1)
    assert not machine.state.runs
    assert not machine.state.histories
    assert not machine.state.history_bytes


@pytest.mark.parametrize(
    ("prepare", "edits"),
    [
        (None, (change("b", priority=7, depends_on=()), change("c", requirement=("GPU",)))),
        (None, (Add(jobs=(job("n", "a"),)), change("c", depends_on=("n",)))),
        (None, (Skip(job=J("b")),)),
        (None, (Cancel(job=J("b")),)),
    ],
)
def test_undoing_brings_back_what_was(
    machine: MachineDriver, prepare: Callable[[], None] | None, edits: tuple[AnyEdit, ...]
) -> None:
    run = machine.submit(chain("a", "b", "c"))
    before, was = graph(machine, run), machine.run(run).revision
    last = mutate(machine, run, *edits)
    mutate(machine, run, Undo())
    after = graph(machine, run)
    assert {name: parents for name, parents in after.items() if name in before} == before
    assert {machine.states(run)[name] for name in before} == {"PENDING"}
    assert {state for name, state in machine.states(run).items() if name not in before} <= {
        "SKIPPED"
    }
    assert graph(machine, run, was) == before
    assert history(machine, run)[0].edits[0] == f"undid revision {last}"


def test_what_has_begun_cannot_be_undone(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    mutate(machine, run, Add(jobs=(job("n"),)))
    machine.assign(run, "n")
    assert refuse(machine, run, Undo()) == "cannot_undo"
    first = mutate(machine, run, change("b", priority=2))
    mutate(machine, run, change("b", priority=3))
    assert refuse(machine, run, Undo(revision=first)) == "cannot_undo", "it has changed since"
    mutate(machine, run, Add(jobs=(job("m", "b"),)))
    added = machine.run(run).revision
    mutate(machine, run, Add(jobs=(job("o", "m"),)))
    assert refuse(machine, run, Undo(revision=added)) == "cannot_undo", "'o' depends on it"
    mutate(machine, run, Undo())
    mutate(machine, run, Undo(revision=added))
    assert machine.states(run)["m"] == machine.states(run)["o"] == "SKIPPED"
    assert refuse(machine, run, Undo()) == "cannot_undo", "what was taken back is added again"


def test_undoing_an_undo_does_it_again(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    mutate(machine, run, change("b", depends_on=()))
    mutate(machine, run, Undo())
    mutate(machine, run, Undo())
    assert graph(machine, run) == {"a": (), "b": ()}


def test_a_mutation_needs_a_cluster_that_knows_it() -> None:
    machine = Machine()
    driver = MachineDriver()
    driver.machine = machine
    command = MutateRun(run=RunId("r"), edits=(RerunFailed(),))
    entry = Entry(ENTRY_FORMAT, 1, 1, (Proposal(command), Proposal(RaiseVersion(version=2))))
    [outcome, _] = machine.apply(1, encode_entry(entry)).outcomes
    assert isinstance(outcome, Rejected)
    assert outcome.code == "not_yet"
    assert command.needs_version() == 2


# --- all of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", BUDGETS)
def test_a_refused_change_has_no_effect_at_all(steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        with steps_at_most(steps):
            _check_refusals(log)

    check()


def _check_refusals(log: list[Entry]) -> None:
    machine = Machine()
    for entry in log:
        for proposal in entry.proposals:
            payload = encode_entry(
                Entry(ENTRY_FORMAT, entry.epoch, entry.now_ms, (Proposal(proposal.command),))
            )
            before = list(machine.freeze())[1:]
            [outcome] = machine.apply(machine.state.index + 1, payload).outcomes
            if not isinstance(proposal.command, MutateRun) or not isinstance(outcome, Rejected):
                continue
            if outcome.code != SETTLING:  # that closes the run to newcomers
                assert list(machine.freeze())[1:] == before
