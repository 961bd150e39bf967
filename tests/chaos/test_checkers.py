"""The judges of locks, runs, replicas and availability on histories that are made up."""

from __future__ import annotations

from typing import Any

from chaos.checkers.availability import check_availability
from chaos.checkers.everything import check
from chaos.checkers.locks import check_locks
from chaos.checkers.replicas import check_replicas
from chaos.checkers.runs import check_runs
from chaos.history import History

from .histories import ended, lost, of, op, ran, submitted, view


def complaints(history: History) -> set[str]:
    return {violation.check for violation in check_runs(history)}


def story(*events: dict[str, Any], jobs: tuple[tuple[str, tuple[str, ...]], ...]) -> History:
    return History(ops=[submitted("r", *jobs)], events=list(events))


ONE = (("a", ()),)
TWO = (("a", ()), ("b", ("a",)))


# --- locks --------------------------------------------------------------------------------------


def test_two_holders_are_rejected() -> None:
    history = of(
        op("lock", "l", "t1", 2.0, at=(0, 0.1), answer=True),
        op("lock", "l", "t2", 2.0, at=(0.5, 0.6), answer=True),
    )
    (violation,) = check_locks(history)
    assert violation.check == "mutual exclusion"


def test_a_holder_after_an_unlock_or_a_time_out_is_accepted() -> None:
    history = of(
        op("lock", "l", "t1", 2.0, at=(0, 0.1), answer=True),
        lost("unlock", "l", "t1", at=0.4),
        op("lock", "l", "t2", 2.0, at=(0.5, 0.6), answer=True),
        op("lock", "l", "t3", 2.0, at=(1, 1.1), answer=False),
        op("lock", "l", "t4", 2.0, at=(2.5, 2.6), answer=True),
    )
    assert not check_locks(history)


# --- runs ---------------------------------------------------------------------------------------


def test_a_run_that_went_well_is_accepted() -> None:
    history = story(
        ran("a", 1, times=(10, 20), code=None),
        ran("a", 2, times=(30, 40)),
        ran("b", 3, times=(50, 60)),
        ended(view("a", (1, -1, "lost"), (2, 0, "")), view("b", (3, 0, ""))),
        jobs=TWO,
    )
    assert not check(history)


def test_a_lost_submission_is_rejected() -> None:
    history = story({"type": "final", "t": 9.0, "runs": {}}, jobs=ONE)
    assert complaints(history) == {"no acknowledged submission is lost"}


def test_a_submission_that_lost_a_job_is_rejected() -> None:
    history = story(ran("a", 1, times=(1, 2)), ended(view("a", (1, 0, ""))), jobs=TWO)
    assert "no acknowledged submission is lost" in complaints(history)


def test_two_accepted_results_are_rejected() -> None:
    history = story(
        ran("a", 1, times=(10, 20)),
        ran("a", 2, times=(10, 20)),
        ended(view("a", (1, 0, ""), (2, 0, ""))),
        jobs=ONE,
    )
    assert "one accepted result" in complaints(history)


def test_a_result_of_a_superseded_attempt_is_rejected() -> None:
    history = story(
        ran("a", 1, times=(10, 20)),
        ran("a", 2, times=(15, 25)),
        ended(view("a", (1, 0, ""))),
        jobs=ONE,
    )
    assert complaints(history) == {"attempts are fenced"}


def test_a_result_that_no_process_had_is_rejected() -> None:
    history = story(ran("a", 1, times=(1, 2), code=3), ended(view("a", (1, 0, ""))), jobs=ONE)
    assert complaints(history) == {"results are real"}


def test_a_child_before_its_parent_is_rejected() -> None:
    history = story(
        ran("a", 1, times=(10, 20)),
        ran("b", 2, times=(15, 25)),
        ended(view("a", (1, 0, "")), view("b", (2, 0, ""))),
        jobs=TWO,
    )
    assert complaints(history) == {"parents before children"}


def test_an_attempt_that_ran_twice_is_rejected() -> None:
    history = story(
        ran("a", 1, times=(10, 20)),
        ran("a", 1, times=(30, 40)),
        ended(view("a", (1, 0, ""))),
        jobs=ONE,
    )
    assert complaints(history) == {"an attempt runs once"}


def test_a_fence_that_does_not_grow_is_rejected() -> None:
    history = story(
        ran("a", 1, times=(10, 20), fence=50, code=None),
        ran("a", 2, times=(30, 40), fence=50),
        ended(view("a", (1, -1, "lost"), (2, 0, ""))),
        jobs=ONE,
    )
    assert complaints(history) == {"attempts are fenced"}


def test_a_job_that_never_ends_is_rejected() -> None:
    history = story(ended(view("a", state="PENDING")), jobs=ONE)
    assert complaints(history) == {"nothing stays stuck"}


# --- replicas and availability --------------------------------------------------------------------


def replica(name: str, digest: str) -> dict[str, Any]:
    return {"type": "replica", "t": 9.0, "master": name, "index": 5, "digests": {"keys": digest}}


def test_masters_that_differ_are_rejected() -> None:
    history = History(meta={"masters": 2}, events=[replica("m1", "aa"), replica("m2", "bb")])
    assert [v.check for v in check_replicas(history)] == ["equal replicas"]


def test_a_master_that_does_not_answer_is_rejected() -> None:
    history = History(meta={"masters": 2}, events=[replica("m1", "aa")])
    assert [v.check for v in check_replicas(history)] == ["equal replicas"]


def test_a_process_that_died_unasked_is_rejected() -> None:
    died = {"type": "died", "t": 1.0, "member": "master-1", "code": 70, "log": ["why"]}
    assert [v.check for v in check_replicas(History(events=[died]))] == ["nobody dies unasked"]


def fault(phase: str, at_s: float) -> dict[str, Any]:
    return {"type": "fault", "t": at_s, "name": "kill-leader", "phase": phase, "target": "m1"}


def test_writes_that_do_not_resume_are_rejected() -> None:
    events = [fault("begin", 5.0), fault("end", 6.0)]
    tries = [lost("put", "k", "a", at=at) for at in range(1, 40)]
    assert check_availability(History(ops=tries, events=events))
    answered = op("put", "k", "b", at=(7, 8))
    assert not check_availability(History(ops=[*tries, answered], events=events))


def test_a_machine_that_stood_still_prolongs_the_wait_by_that_and_no_more() -> None:
    events = [fault("begin", 5.0), fault("end", 6.0)]
    tries = [op("put", "k", "b", at=(18, 18.5)), lost("put", "k", "c", at=40)]
    slept = {"type": "stall", "t": 12.0, "begin": 5.0, "seconds": 3.0}  # 2 s of it after the end
    assert check_availability(History(ops=tries, events=[*events, slept]))
    longer = {**slept, "seconds": 4.0}
    assert not check_availability(History(ops=tries, events=[*events, longer]))


def test_a_run_in_which_nothing_happened_is_rejected() -> None:
    assert check(History(meta={"masters": 3}))
