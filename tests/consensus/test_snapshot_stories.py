"""Snapshots that are lost, damaged, late or interrupted, as stories that must end well."""

from __future__ import annotations

import pytest

from tests.consensus.sim import Cluster, Message, small_limits
from titan.consensus.rules import ALL_RULES, Rule

Rules = frozenset[Rule]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)


def without(*rules: Rule) -> Rules:
    return ALL_RULES - set(rules)


def keys_on(cluster: Cluster, name: str, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in cluster[name].machine.data)


def lagging_cluster(rules: Rules = ALL_RULES) -> Cluster:
    """C missed what only a snapshot can tell it."""
    c = Cluster(rules=rules, rtt_budget_ms=200)
    c.elect("A")
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    c.write("A", *[f"real{i}=1" for i in range(80)])
    c["A"].live.core.request_compaction()
    c.run(0.5)
    assert c["A"].live.core.log.first_index > 50
    return c


def test_a_laggard_is_served_by_a_snapshot_and_goes_on() -> None:
    c = lagging_cluster()
    c.net.connect("A", "C")
    assert c.run(5, until=c.converged)
    assert c["C"].live.counters["snapshot installed"] == 1
    assert all(w.is_ok for w in c.write("A", "more=1"))


def test_a_lost_piece_starts_the_snapshot_over_and_is_never_acknowledged() -> None:
    c = lagging_cluster()
    pieces = 0

    def tap(source: str, target: str, message: Message) -> Message | None:
        nonlocal pieces
        pieces += (source, target) == ("A", "C") and bool(message.get("serialized"))
        return None if pieces == 3 and message.get("serialized") else message

    c.net.tap = tap
    c.net.connect("A", "C")
    c.run(0.05)
    assert c["A"].live.core.match_index("C") <= c["C"].live.core.log.last_index
    assert c.run(5, until=c.converged)
    assert c["C"].live.counters["snapshot gap"]


def test_a_damaged_snapshot_is_dropped_even_without_numbers() -> None:
    c = lagging_cluster(without(Rule.NUMBERED_CHUNKS, Rule.VERIFIED_INSTALL))

    def tap(source: str, target: str, message: Message) -> Message:
        if message.get("serialized") and message["chunk"] == 1:
            data, first, last = message["serialized"]
            return message | {"serialized": (data[:-1] + b"?", first, last)}
        return message

    c.net.tap = tap
    c.net.connect("A", "C")
    c.run(1)
    assert c["A"].live.core.match_index("C") <= c["C"].live.core.log.last_index
    assert c["C"].machine.data == {}
    c.net.tap = None
    assert c.run(20, until=c.converged)


@pytest.mark.parametrize("wait_s", [0.0, 0.01, 0.05, 0.2])
def test_killing_everybody_around_a_snapshot_loses_nothing(wait_s: float) -> None:
    c = Cluster()
    c.snapshot_s = 0.05
    c.elect("A")
    c.write("A", *[f"k{i}=1" for i in range(50)])
    for name in "ABC":
        c[name].live.core.request_compaction()
    c.run(0.01)
    assert all(w.is_ok for w in c.write("A", *[f"acked{i}=1" for i in range(30)]))
    c.run(wait_s)
    for name in "ABC":
        c.crash(name, power=True)
    for name in "ABC":
        assert c.restart(name)
    assert c.run(10, until=lambda: c.leader() is not None and c.converged())
    assert [keys_on(c, name, "acked") for name in "ABC"] == [30, 30, 30]


def test_a_snapshot_that_finishes_late_does_not_replace_a_newer_one() -> None:
    c = lagging_cluster()
    c.snapshot_s = 3.0
    c.net.connect("A", "C")
    c["C"].live.core.request_compaction()
    assert c.run(2.5, until=c.converged)
    newest = c["C"].live._files.newest_index()
    c.run(4)
    assert c["C"].live._files.newest_index() >= newest
    c.crash("C")
    assert c.restart("C")
    assert c.run(5, until=c.converged)


def test_a_damaged_newest_snapshot_is_replaced_by_the_older_while_the_log_reaches_back() -> None:
    c = Cluster(keep_entries=40, snapshot_entries=1000)
    c.elect("A")
    for _ in range(2):
        c.write("A", *[f"k{i}=1" for i in range(20)])
        c["B"].live.core.request_compaction()
        c.run(0.5)
    files = c["B"].live._files
    damaged = files.newest_index()
    c.crash("B")
    c["B"].disk.names_now[str(files.path(damaged))].data[40] ^= 1
    assert c.restart("B")
    assert c.run(5, until=c.converged)
    files = c["B"].live._files
    assert files.newest_index() < damaged
    c["B"].live.core.request_compaction()
    c.run(0.5)
    assert files.check(files.path(files.newest_index())).index > damaged


def test_without_a_readable_snapshot_the_member_does_not_start() -> None:
    c = lagging_cluster()
    newest = c["A"].live._files.path(c["A"].live._files.newest_index())
    c.crash("A")
    c["A"].disk.names_now[str(newest)].data[40] ^= 1
    assert not c.restart("A")
    assert "snapshot" in str(c.fatal[0][1])
