"""Members come and go on a living cluster, one at a time, and never in a way that splits it."""

from __future__ import annotations

import pytest

from tests.consensus.sim import Cluster, Message, Waiter, small_limits
from titan.consensus import codec
from titan.consensus.membership import Removed, Roster, bootstrap, decode, encode
from titan.consensus.rules import ALL_RULES, Rule
from titan.errors import Conflict, Fatal, Unavailable


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)


def led(**settings: object) -> Cluster:
    c = Cluster(**settings)  # type: ignore[arg-type]
    c.elect("A")
    c.write("A", *[f"k{i}=1" for i in range(30)])
    return c


def grow(c: Cluster, name: str, *, by: str = "A") -> None:
    c.join(name)
    waiter = c.add(name, by=by)
    assert c.run(20, until=lambda: is_voter(c, name, by) and c.converged()), waiter.error
    assert waiter.is_ok


def is_voter(c: Cluster, name: str, by: str) -> bool:
    return name in c[by].live.members.voters


def drop(c: Cluster, name: str, *, by: str = "A") -> None:
    waiter = c.remove(name, by=by)
    assert c.run(10, until=waiter.done), "no answer"
    assert waiter.is_ok, waiter.error


def test_a_newcomer_learns_is_promoted_and_counts() -> None:
    c = led()
    grow(c, "D")
    assert [c[name].live.members.voters for name in "ABCD"] == [("A", "B", "C", "D")] * 4
    c.crash("B")
    c.crash("C")
    (waiter,) = c.write("A", "two of four=1", seconds=2)
    assert not waiter.is_ok
    c.restart("B")
    assert c.run(10, until=lambda: c.leader() is not None)
    assert c.write(c.leader() or "", "three of four=1", seconds=5)[0].is_ok


def test_a_newcomer_far_behind_is_served_by_a_snapshot_and_knows_the_members() -> None:
    c = led()
    c["A"].live.core.request_compaction()
    c.run(0.5)
    assert c["A"].live.core.log.first_index > 20
    grow(c, "D")
    assert c["D"].live.counters["snapshot installed"] == 1
    assert c["D"].machine.data == c["A"].machine.data


def test_a_cluster_of_one_grows_to_five_and_shrinks_to_three() -> None:
    c = Cluster("A")
    c.elect("A")
    for name in "BCDE":
        grow(c, name)
        assert c.write("A", f"with {name}=1")[0].is_ok
    for name in "BC":
        drop(c, name)
        assert c.write("A", f"without {name}=1")[0].is_ok
    assert c["A"].live.members.voters == ("A", "D", "E")


def commits_with_a_learner(rules: frozenset[Rule]) -> bool:
    """B and C are gone; D has just been added. Two of three founders are the majority."""
    c = led(rules=rules)
    c.join("D")
    c.net.hold("A", "D")
    c.add("D", by="A")
    c.run(0.5)
    c.crash("B")
    (waiter,) = c.write("A", "two of three=1", seconds=0.8)
    return waiter.is_ok


def test_a_learner_is_not_counted() -> None:
    assert commits_with_a_learner(ALL_RULES)
    assert not commits_with_a_learner(ALL_RULES - {Rule.LEARN_FIRST})


def test_a_learner_neither_campaigns_nor_is_asked() -> None:
    c = led()
    c.join("D")
    c.net.link_latency["A", "D"] = 3.0  # never caught up in time
    c.add("D", by="A")
    c.run(6)
    asked: list[str] = []

    def tap(source: str, target: str, message: Message) -> Message:
        if message["type"] in (codec.PREVOTE, codec.REQUEST_VOTE):
            asked.append(source + target)
        return message

    c.net.tap = tap
    if "D" in c["A"].live.members.roster.learners:
        c.crash("A")
        assert c.run(20, until=lambda: c.leader() is not None)
        assert not [pair for pair in asked if "D" in pair]


def votes_counted(rules: frozenset[Rule]) -> bool:
    c = Cluster("ABCDE", rules=rules)
    c.net.tap = lambda _source, _target, message: None if message["type"] == codec.VOTE else message
    c["A"].live.core.election_due = 0.0
    for other in "BCDE":
        c[other].live.core.election_due = c.now + 50
    c.run(0.1)
    vote = codec.encode({"type": codec.VOTE, "term": c["A"].live.core.term})
    c["A"].live.core.connected("Y")
    c["A"].live.core.connected("Z")
    for stranger in "YZ":
        c["A"].live.receive(stranger, vote)
    return c["A"].is_leader


def test_the_vote_of_no_voter_is_not_counted() -> None:
    assert not votes_counted(ALL_RULES)
    assert votes_counted(ALL_RULES - {Rule.VOTERS_COUNT})


def two_at_once(rules: frozenset[Rule]) -> Waiter:
    c = led(rules=rules)
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    c.join("D")
    c.join("E")
    c.add("D", by="A")
    c["A"].live.begin_round()
    return c.add("E", by="A")


def test_two_changes_at_once_are_refused() -> None:
    assert isinstance(two_at_once(ALL_RULES).error, Unavailable)
    assert two_at_once(ALL_RULES - {Rule.ONE_CHANGE}).error is None


def change_before_the_first_commit(rules: frozenset[Rule]) -> Waiter:
    c = led(rules=rules)
    c.join("D")
    c.net.tap = lambda _source, _target, message: (
        None if message["type"] == codec.ACK and message["term"] > term else message
    )
    term = c["A"].live.core.term
    c["A"].live.begin_transfer("B", Waiter())
    assert c.run(5, until=lambda: c["B"].is_leader)
    return c.add("D", by="B")


def test_a_leader_changes_nothing_before_it_has_committed_an_entry_of_its_term() -> None:
    assert isinstance(change_before_the_first_commit(ALL_RULES).error, Unavailable)
    alone = ALL_RULES - {Rule.CHANGE_WHEN_READY}
    assert change_before_the_first_commit(alone).error is None


def test_an_uncommitted_change_is_undone_with_its_entry() -> None:
    c = led()
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    c.join("D")
    c.net.disconnect("D", "B")
    c.net.disconnect("D", "C")
    waiter = c.add("D", by="A")
    c.run(0.2)
    assert "D" in c["A"].live.members.roster.learners
    assert c.run(20, until=lambda: c.leader("BC") is not None)
    leader = c.leader("BC") or ""
    assert c.write(leader, "goes on=1", seconds=5)[0].is_ok
    c.heal()
    assert c.run(10, until=lambda: "D" not in c["A"].live.members.roster.addresses)
    assert not waiter.is_ok
    grow(c, "D", by=c.leader() or "")


def test_a_leader_is_removed_after_it_has_handed_over() -> None:
    c = led()
    assert isinstance(c.remove("A", by="A").error, Conflict)
    c["A"].live.begin_transfer("B", Waiter())
    assert c.run(5, until=lambda: c["B"].is_leader and c["B"].live.is_ready)
    drop(c, "A", by="B")
    assert c["B"].live.members.voters == ("B", "C")
    assert c.write("B", "after=1")[0].is_ok


def test_a_removed_member_disturbs_nobody_and_stops_when_it_learns_of_it() -> None:
    c = led()
    drop(c, "C")
    term = c["A"].live.core.term
    c.run(20)
    assert c["A"].live.core.term == term
    assert c.leader() == "A"
    log = c["A"].live.core.log
    removal = log[c["A"].live.members.index - log.first_index]
    c["C"].live.members.appended(removal[1], removal[0][1:])
    with pytest.raises(Removed) as caught:
        c["C"].live.apply(removal[1], removal[0])
    assert "--join" in caught.value.hint


def test_a_removed_identity_never_comes_back_and_a_new_one_does() -> None:
    c = led()
    drop(c, "C")
    assert isinstance(c.add("C", by="A").error, Conflict)
    c.crash("C")
    grow(c, "C")
    assert c["A"].live.members.roster.find("C").id == c["C"].member_id  # type: ignore[union-attr]


def test_a_removal_that_would_stop_the_cluster_is_refused() -> None:
    c = led()
    c.crash("C")
    c.run(2)
    assert isinstance(c.remove("B", by="A").error, Unavailable)
    drop(c, "C")
    assert c["A"].live.members.voters == ("A", "B")


def test_a_restart_in_the_middle_of_a_change_goes_on_with_it() -> None:
    c = led()
    c.join("D")
    c.net.hold("A", "D")
    c.add("D", by="A")
    assert c.run(5, until=lambda: "D" in c["B"].live.members.roster.learners)
    for name in "ABC":
        c.crash(name, power=True)
    for name in "ABC":
        assert c.restart(name)
        assert "D" in c[name].live.members.roster.learners
    assert c.run(30, until=lambda: c.leader() is not None and is_voter(c, "D", c.leader() or ""))


def test_members_survive_a_snapshot_and_a_restart_with_another_list() -> None:
    c = led()
    grow(c, "D")
    for name in "ABCD":
        c[name].live.core.request_compaction()
    c.run(0.5)
    c.founders = ("A", "X", "Y")  # what somebody says on the command line now
    for name in "ABCD":
        c.crash(name)
    for name in "ABCD":
        assert c.restart(name)
        assert c[name].live.members.voters == ("A", "B", "C", "D")


def test_the_bootstrap_list_is_remembered_from_the_first_start() -> None:
    c = Cluster()
    c.crash("A")
    c.founders = ("A",)
    assert c.restart("A")
    assert c["A"].live.members.voters == ("A", "B", "C")


def test_a_leader_with_a_full_disk_hands_over_to_one_with_space() -> None:
    c = led()
    c["A"].disk.free = 0
    assert c.run(10, until=lambda: c.leader() not in (None, "A") and not c["A"].is_leader)
    leader = c.leader() or ""
    assert c.write(leader, "after=1")[0].is_ok


def test_with_all_disks_full_the_leader_stays_and_refuses() -> None:
    c = led()
    for name in "ABC":
        c[name].disk.free = 0
    c.run(10)
    leader = c.leader() or ""
    term = c[leader].live.core.term
    c.run(10)
    assert (c.leader(), c[leader].live.core.term) == (leader, term)
    assert not c.write(leader, "full=1")[0].is_ok
    for name in "ABC":
        c[name].disk.free = 1 << 40
    c.run(2)
    assert c.write(leader, "free=1")[0].is_ok


def test_a_roster_comes_back_as_it_was_and_garbage_stops_the_member() -> None:
    roster = bootstrap(("B", "A")).with_learner("C", member_id="m3").without("B", member_id="m2")
    assert decode(encode(roster)) == roster
    assert roster.gone == ("m2",)
    with pytest.raises(Fatal):
        decode(b"\x05")
    with pytest.raises(Conflict):
        Roster().without("A", member_id="")
