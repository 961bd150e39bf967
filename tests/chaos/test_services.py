"""The checker of services notices what must not be, and nothing else."""

from __future__ import annotations

from typing import Any

from chaos.checkers.services import check_services
from chaos.history import History, Op


class Story:
    """A history in a few words; every operation takes one second after the one before."""

    def __init__(self) -> None:
        self.history = History()
        self._at_s = 0.0

    def op(self, verb: str, args: list[Any], value: Any, *, lasts_s: float = 0.5) -> Story:
        op = Op(len(self.history.ops), "c", verb, "svc", args, self._at_s)
        op.ended_s, op.known, op.value = self._at_s + lasts_s, True, value
        self.history.ops.append(op)
        self._at_s += 1
        return self

    def deploy(self, run: str, *, broken: bool = False) -> Story:
        return self.op("deploy", [run, broken], "")

    def look(self, run: str, attempt: int, *, lasts_s: float = 0.5) -> Story:
        return self.op("look", [], [run, attempt, "healthy"], lasts_s=lasts_s)

    def ask(self, named: tuple[str, int], answers: tuple[str, int]) -> Story:
        return self.op("ask", [*named, "healthy"], list(answers))

    def wrong(self) -> list[str]:
        return [violation.check for violation in check_services(self.history)]


def test_a_replacement_and_a_restart_are_right() -> None:
    story = Story().deploy("r1").look("r1", 3).ask(("r1", 3), ("r1", 5)).deploy("r2")
    assert story.look("r1", 5).look("r2", 4).ask(("r2", 4), ("r2", 4)).wrong() == []


def test_going_back_to_an_older_version_or_attempt_is_wrong() -> None:
    back = Story().deploy("r1").deploy("r2").look("r2", 4).look("r1", 9)
    assert back.wrong() == ["one holder of a service"]
    assert Story().deploy("r1").look("r1", 4).look("r1", 3).wrong() == ["one holder of a service"]


def test_look_ups_at_the_same_time_may_differ() -> None:
    assert Story().deploy("r1").look("r1", 4, lasts_s=5).look("r1", 3).wrong() == []


def test_an_older_holder_at_the_address_of_a_healthy_one_is_wrong() -> None:
    story = Story().deploy("r1").deploy("r2").ask(("r2", 8), ("r1", 3))
    assert story.wrong() == ["one holder of a service"]


def test_a_broken_version_that_counts_is_wrong() -> None:
    assert Story().deploy("r1", broken=True).look("r1", 1).wrong() == ["a bad version gives way"]


def test_a_service_that_stays_away_is_wrong() -> None:
    story = Story().deploy("r1")
    story.history.events.append({"type": "service", "came_back": False})
    assert story.wrong() == ["services come back"]
