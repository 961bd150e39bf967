"""Reads, handing over, and a cluster of one."""

from __future__ import annotations

import pytest

from tests.consensus.sim import Cluster, Waiter, small_limits


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)


def test_a_read_sees_every_acknowledged_write_and_shares_its_round() -> None:
    c = Cluster()
    c.elect("A")
    (write,) = c.write("A", "k=1")
    reads = [c["A"].read() for _ in range(50)]
    sent = c.net.sent
    assert c.run(1, until=lambda: all(r.done() for r in reads), step_s=0.001)
    assert all(r.result >= write.result for r in reads)
    assert c.net.sent - sent < 20


def test_an_isolated_leader_answers_no_read() -> None:
    c = Cluster()
    c.elect("A")
    for name in "BC":
        c.net.hold("A", name)
    read = c["A"].read()
    c.run(10)
    assert read.done()
    assert not read.is_ok


def test_leadership_is_handed_over_on_request() -> None:
    c = Cluster()
    c.elect("A")
    waiter = Waiter()
    c["A"].live.begin_transfer("C", waiter)
    assert c.run(2, until=waiter.done)
    assert waiter.result == c.leader() == "C"


def test_a_single_member_is_its_own_majority() -> None:
    c = Cluster("A")
    assert c.run(5, until=lambda: c.leader() == "A")
    assert c.write("A", "k=1")[0].is_ok
    read = c["A"].read()
    assert c.run(1, until=read.done)
    assert read.is_ok
    c.crash("A", power=True)
    assert c.restart("A")
    assert c.run(5, until=lambda: "k" in c["A"].machine.data)
