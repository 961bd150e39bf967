"""What a worker holds against what it should hold."""

import pytest

from tests.sched.world import World, job
from titan.ids import AttemptId, WorkerId
from titan.sched.reconcile import Reconciliation, reconcile

A = WorkerId("a")


@pytest.fixture
def world() -> World:
    world = World()
    world.join("a", slots=3)
    world.submit(job("j0"), job("j1"), job("j2"))
    world.plan()
    return world


def compare(world: World, *holds: int, incarnation: int = 1) -> Reconciliation:
    return reconcile(world.state, A, incarnation=incarnation, holds=[AttemptId(n) for n in holds])


def test_agreement_needs_nothing(world: World) -> None:
    found = compare(world, 1, 2, 3)
    assert found == Reconciliation(live=(AttemptId(1), AttemptId(2), AttemptId(3)))


def test_a_lost_dispatch_is_sent_again_as_the_same_attempt(world: World) -> None:
    found = compare(world, 1, 3)
    assert [(a.id, a.fence) for a in found.redispatch] == [(2, world.state.attempts[2].fence)]
    assert not found.kill


def test_what_was_superseded_is_killed(world: World) -> None:
    world.finish(AttemptId(2))
    found = compare(world, 1, 2, 3, 77)
    assert found.kill == (2, 77)
    assert found.live == (1, 3)


def test_attempts_of_an_earlier_life_are_lost_unless_held(world: World) -> None:
    found = compare(world, 2, incarnation=2)
    assert found.lost == (1, 3)
    assert found.live == (2,)
    assert not found.redispatch


def test_an_unknown_worker_keeps_nothing(world: World) -> None:
    found = reconcile(world.state, WorkerId("x"), incarnation=1, holds=[AttemptId(1)])
    assert found == Reconciliation(kill=(AttemptId(1),))
