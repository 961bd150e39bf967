"""Leases: who has been silent too long."""

import pytest

from titan.ids import WorkerId
from titan.sched.liveness import LeaseConfig, Leases

A, B = WorkerId("a"), WorkerId("b")
CONFIG = LeaseConfig(silence_ms=6000, closed_ms=2000, grace_ms=8000, stall_ms=10**9)


@pytest.fixture
def leases() -> Leases:
    return Leases([], now_ms=0, config=CONFIG)


def test_a_silent_worker_expires_after_the_silence(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    assert leases.expired(5999) == []
    assert leases.expired(6000) == [A]


def test_a_heartbeat_renews_the_lease(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    leases.heard(A, now_ms=5000)
    assert leases.expired(10_999) == []
    assert leases.expired(11_000) == [A]


def test_a_closed_connection_expires_sooner(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    leases.closed(A, now_ms=1000)
    assert leases.next_due_ms == 3000
    assert leases.expired(3000) == [A]


def test_closing_never_prolongs_a_lease(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    leases.closed(A, now_ms=5000)
    assert leases.expired(6000) == [A]


def test_a_worker_that_reconnects_in_time_stays(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    leases.closed(A, now_ms=1000)
    leases.opened(A, now_ms=2500)
    assert leases.expired(8499) == []


def test_after_an_election_workers_have_the_grace_period() -> None:
    leases = Leases([A, B], now_ms=100, config=CONFIG)
    leases.opened(B, now_ms=200)
    leases.heard(B, now_ms=8000)
    assert leases.expired(8099) == []
    assert leases.expired(8100) == [A]


def test_an_expired_worker_is_named_again_until_it_is_forgotten(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    assert leases.expired(6000) == [A]
    assert leases.expired(6001) == []
    assert leases.expired(8000) == [A]
    leases.forget(A)
    assert leases.expired(20_000) == []
    assert leases.next_due_ms is None


def test_a_heartbeat_of_an_unknown_worker_is_no_lease(leases: Leases) -> None:
    leases.heard(A, now_ms=0)
    assert leases.expired(10**6) == []


def test_nobody_expires_because_the_leader_stood_still() -> None:
    leases = Leases([A], now_ms=0, config=LeaseConfig())
    assert leases.expired(60_000) == []
    assert leases.expired(61_999) == []
    assert leases.expired(62_000) == [A]


def test_heartbeats_do_not_grow_the_table(leases: Leases) -> None:
    leases.opened(A, now_ms=0)
    for now_ms in range(0, 100_000, 10):
        leases.heard(A, now_ms=now_ms)
        leases.closed(A, now_ms=now_ms)
        leases.opened(A, now_ms=now_ms)
        assert leases.expired(now_ms) == []
    assert len(leases._heap) < 100
