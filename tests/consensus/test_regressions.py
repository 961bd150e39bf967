"""The library's known ways to lose data or stop, each as a story that must end well.

Where a rule closes the hazard, the story is told again with the rule switched off and must then end
badly: a protection that nothing notices is not protected itself.
"""

from __future__ import annotations

import pytest

from tests.consensus.sim import Cluster, Message, Waiter, small_limits
from titan.consensus import codec
from titan.consensus.rules import ALL_RULES, Rule
from titan.errors import Fatal, UnknownOutcome

Rules = frozenset[Rule]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)


def without(*rules: Rule) -> Rules:
    return ALL_RULES - set(rules)


def keys_on(cluster: Cluster, name: str, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in cluster[name].machine.data)


# --- H1 -------------------------------------------------------------------------------------


def phantom_answers(rules: Rules) -> list[Waiter]:
    """An isolated leader's own tail, then snapshot pieces of the next leader."""
    c = Cluster(rules=rules)
    c.elect("A")
    c.write("A", *[f"base{i}=1" for i in range(5)])
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    phantoms = [c["A"].propose(f"phantom{i}=1") for i in range(3)]
    c.run(0.1)
    c.elect("C")
    c.write("C", *[f"real{i}=1" for i in range(50)])
    c["C"].live.core.request_compaction()
    c.run(0.5)
    assert c["C"].live.core.log.first_index > 20
    c.net.hold("C", "A")
    c.net.connect("A", "C")
    for _ in range(10):
        c.run(0.02)
        c.net.release("C", "A", 1)
    commit = c["A"].live.core.commit_index if c["A"].replica else 0
    tail = [t for t in phantoms if t.is_ok]
    applied = [p for _, p in c["A"].machine.history if b"phantom" in p]
    c.net.release("C", "A")
    c.run(3)
    return tail + [Waiter()] * len(applied) if commit else tail


def test_an_uncommitted_tail_is_not_committed_by_a_snapshots_first_piece() -> None:
    assert phantom_answers(ALL_RULES) == []


def test_without_the_clamp_it_is() -> None:
    assert phantom_answers(without(Rule.CLAMP_UNVERIFIED_COMMIT))


# --- H2 -------------------------------------------------------------------------------------


def length_after_duplicate(rules: Rules) -> tuple[int, int]:
    c = Cluster(rules=rules)
    c.elect("A")
    saved: list[Message] = []

    def tap(source: str, target: str, message: Message) -> Message:
        if (source, target) == ("A", "B") and message.get("entries") and not saved:
            saved.append(message | {"entries": message["entries"][:5]})
        return message

    c.net.tap = tap
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    waiters = c.write("A", *[f"k{i}=1" for i in range(40)])
    assert all(w.is_ok for w in waiters)
    before = c["B"].live.core.log.last_index
    c["B"].live.receive("A", codec.encode(saved[0] | {"term": c["A"].live.core.term}))
    return before, c["B"].live.core.log.last_index


def test_a_repeated_append_deletes_nothing() -> None:
    before, after = length_after_duplicate(ALL_RULES)
    assert after == before


def test_without_the_rule_it_deletes_acknowledged_entries() -> None:
    before, after = length_after_duplicate(without(Rule.NO_NEEDLESS_TRUNCATION))
    assert after < before


@pytest.mark.parametrize("crash_ms", range(200, 2400, 200))
def test_nothing_acknowledged_is_lost_when_the_leader_dies_over_a_slow_link(crash_ms: int) -> None:
    c = Cluster(rtt_budget_ms=200)
    c.elect("A")
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    for pair in (("A", "B"), ("B", "A")):
        c.net.link_latency[pair] = 0.075
    c.net.link_message_s["A", "B"] = 0.02
    waiters: list[tuple[int, Waiter]] = []
    end = c.now + crash_ms / 1000
    while c.now < end:
        waiters.append((len(waiters), c["A"].propose(f"k{len(waiters)}=1")))
        c.run(0.005)
    acked = [i for i, w in waiters if w.is_ok]
    c.crash("A")
    c.net.connect("B", "C")
    assert c.run(40, until=lambda: c.leader() is not None and c.converged())
    assert not [i for i in acked if f"k{i}" not in c["C"].machine.data]
    assert not c.fatal


def test_a_contradiction_of_committed_entries_stops_the_member() -> None:
    c = Cluster()
    c.elect("A")
    c.write("A", "k=1")
    c.run(0.5)
    core = c["B"].live.core
    lie: Message = {
        "type": codec.APPEND, "term": core.term, "seq": 99, "commit_index": 0,
        "prevLogIdx": core.log.last_index - 1, "prevLogTerm": core.log[-2][2] + 7, "entries": [],
    }  # fmt: skip
    with pytest.raises(Fatal, match="committed here"):
        c["B"].live.receive("A", codec.encode(lie))


# --- H3 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tail", "real"), [(1, 60), (3, 5), (10, 60)])
def test_a_conflicting_tail_heals_in_a_few_round_trips(tail: int, real: int) -> None:
    c = Cluster()
    c.elect("A")
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    for i in range(tail):
        c["A"].propose(f"phantom{i}=1")
    c.run(0.1)
    c.elect("C")
    c.write("C", *[f"real{i}={'x' * 400}" for i in range(real)])
    c.run(1)
    c.crash("C")
    c.net.connect("A", "B")
    assert c.run(10, until=lambda: c.leader() == "B")
    waiter = c["B"].propose("after=1")
    assert c.run(2, until=waiter.done)
    assert waiter.is_ok
    assert keys_on(c, "A", "phantom") == 0


# --- H4 -------------------------------------------------------------------------------------


def commit_after_stale_ack(rules: Rules) -> tuple[int, int]:
    c = Cluster(rules=rules)
    c.elect("A")
    acks: list[Message] = []

    def tap(source: str, target: str, message: Message) -> Message:
        if (source, target) == ("B", "A") and message["type"] == codec.ACK and message["success"]:
            acks.append(message)
        return message

    c.net.tap = tap
    c.write("A", *[f"k{i}=1" for i in range(5)])
    stale = acks[-1] | {"next_node_idx": c["A"].live.core.log.last_index + 2}
    c.elect("C")
    c.elect("A")
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    c["A"].propose("alone=1")
    while c["A"].live.core.log.last_index + 1 < stale["next_node_idx"]:
        c["A"].propose("alone=2")
        c.run(0.005)
    before = c["A"].live.core.commit_index
    c.run(0.01)
    c["A"].live.receive("B", codec.encode(stale | {"next_node_idx": c["A"].log[-1][0] + 1}))
    c["A"].needs_round = True
    c.run(0.01)
    return before, c["A"].live.core.commit_index


def test_an_ack_of_an_older_term_counts_for_nothing() -> None:
    before, after = commit_after_stale_ack(ALL_RULES)
    assert after == before


def test_without_the_term_it_commits_what_only_the_leader_has() -> None:
    before, after = commit_after_stale_ack(without(Rule.TERM_ON_ACKS))
    assert after > before


# --- H5, H9, H10: who leads -----------------------------------------------------------------


def test_an_isolated_leader_steps_down_within_an_election_timeout() -> None:
    c = Cluster()
    c.elect("A")
    for pair in (("B", "A"), ("C", "A")):
        c.net.hold(*pair)
    assert c.run(2 * c["A"].live.config.election_max_s, until=lambda: not c["A"].is_leader)
    assert c.run(5, until=lambda: c.leader() is not None)


def test_a_deposed_leader_is_told_at_once() -> None:
    c = Cluster()
    c.elect("A")
    c.net.hold("B", "A")
    c.net.hold("C", "A")
    c["B"].live.core.step_down(term=9)
    c.net.release("B", "A")
    c.run(0.2)
    assert c["B"].live.counters["old leader told"]
    assert c["A"].live.core.term >= 9


def terms_of_a_deaf_member(rules: Rules) -> int:
    c = Cluster(rules=rules)
    c.elect("A")
    before = c["A"].live.core.term
    c.net.hold("A", "C")
    c.net.hold("B", "C")
    c.run(60)
    c.net.release("A", "C")
    c.net.release("B", "C")
    c.run(3)
    return c["B"].live.core.term - before


def test_a_deaf_member_disturbs_nobody() -> None:
    assert terms_of_a_deaf_member(ALL_RULES) == 0


@pytest.mark.parametrize("rule", [Rule.PREVOTE, Rule.STICKY_LEADER])
def test_without_prevote_and_loyalty_it_does(rule: Rule) -> None:
    assert terms_of_a_deaf_member(without(Rule.PREVOTE, rule, Rule.STICKY_LEADER)) > 0


def terms_after_a_pause(rules: Rules) -> int:
    c = Cluster(rules=rules)
    c.elect("A")
    before = c["A"].live.core.term
    c["B"].is_paused = True
    c.run(5)
    c["B"].is_paused = False
    c.run(5)
    return c["C"].live.core.term - before


def test_a_member_that_slept_reads_its_mail_before_it_campaigns() -> None:
    assert terms_after_a_pause(ALL_RULES) == 0
    assert terms_after_a_pause(without(Rule.PREVOTE, Rule.STALL, Rule.STICKY_LEADER)) > 0


def test_the_death_of_a_leader_is_noticed_by_its_connections() -> None:
    c = Cluster()
    c.elect("A")
    died = c.now
    c.crash("A")
    assert c.run(5, until=lambda: c.leader() is not None)
    assert c.now - died < c["B"].live.config.election_min_s


# --- H7, H15, H16, H20, H32 -----------------------------------------------------------------


def leads_by_repeated_vote(rules: Rules) -> bool:
    c = Cluster("ABCDE", rules=rules)

    def tap(source: str, target: str, message: Message) -> Message | None:
        if message["type"] == codec.VOTE and source != "B":
            return None
        if message["type"] == codec.VOTE:
            c.net.enqueue(source, target, codec.encode(message))
        return message

    c.net.tap = tap
    c["A"].live.core.election_due = 0.0
    for other in "BCDE":
        c[other].live.core.election_due = c.now + 50
    c.run(0.2)
    return c["A"].is_leader


def test_a_repeated_vote_counts_once() -> None:
    assert not leads_by_repeated_vote(ALL_RULES)
    assert leads_by_repeated_vote(without(Rule.ONE_VOTE_PER_MEMBER))


def test_a_machine_that_raises_stops_the_member_instead_of_repeating_the_entry() -> None:
    c = Cluster()
    c.elect("A")

    def explode(_index: int, _payload: bytes) -> None:
        raise KeyError("bug")

    c["B"].machine.apply = explode  # type: ignore[method-assign]
    c.write("A", "k=1")
    c.run(0.5)
    assert [name for name, _ in c.fatal] == ["B"]
    assert "KeyError" in str(c.fatal[0][1])


def test_a_caller_that_gave_up_disturbs_nothing() -> None:
    c = Cluster()
    c.elect("A")
    waiter = c["A"].propose("k=1")
    c["A"].live.begin_round()
    waiter.set_exception(TimeoutError())
    c.run(0.5)
    assert c.converged()
    assert sum(payload == b"k=1" for _, payload in c["A"].machine.history) == 1


def test_who_loses_leadership_says_unknown() -> None:
    c = Cluster()
    c.elect("A")
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    waiter = c["A"].propose("k=1")
    assert c.run(10, until=waiter.done)
    assert isinstance(waiter.error, UnknownOutcome)


def test_an_ack_means_that_a_power_cut_of_everybody_changes_nothing() -> None:
    c = Cluster()
    c.elect("A")
    for round_number in range(10):
        leader = c.leader()
        assert leader
        assert all(w.is_ok for w in c.write(leader, f"k{round_number}=1"))
        for name in "ABC":
            c.crash(name, power=True)
        for name in "ABC":
            assert c.restart(name)
        assert c.run(10, until=lambda: c.leader() is not None and c.converged())
    assert keys_on(c, "B", "k") == 10


def test_without_syncs_the_same_story_loses_writes() -> None:
    c = Cluster()
    c.elect("A")
    for name in "ABC":
        c[name].disk.honours_sync = False
    assert all(w.is_ok for w in c.write("A", *[f"k{i}=1" for i in range(20)]))
    for name in "ABC":
        c.crash(name, power=True)
    kept = [name for name in "ABC" if c.restart(name)]
    c.run(10)
    assert any(keys_on(c, name, "k") < 20 for name in kept) or len(kept) < 3


def test_a_restarted_member_believes_no_commit_index_of_its_own() -> None:
    c = Cluster()
    c.elect("A")
    c.write("A", "k=1")
    c.crash("A")
    c.restart("A", links="")
    assert c["A"].live.core.commit_index == 1
    assert c["A"].machine.data == {}


def test_different_states_at_one_index_stop_the_members_that_see_it() -> None:
    c = Cluster()
    c.elect("A")
    c["B"].machine.digest = b"?" * 32
    c.write("A", *[f"k{i}=1" for i in range(40)])
    c.run(1)
    assert any(name == "B" for name, _ in c.fatal)
    assert "state at index" in str(c.fatal[0][1])
