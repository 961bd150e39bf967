"""Rules that stories cannot tell apart because they back each other up, each alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.consensus.sim import Cluster, Message, small_limits
from titan.consensus import codec, library
from titan.consensus.rules import ALL_RULES, Rule
from titan.errors import Fatal

Rules = frozenset[Rule]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)


def without(*rules: Rule) -> Rules:
    return ALL_RULES - set(rules)


def test_another_library_than_the_audited_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    library.check_pin()
    monkeypatch.setattr(library, "PINNED_SHA256", hashlib.sha256(b"").hexdigest())
    with pytest.raises(Fatal, match="not the audited pysyncobj") as caught:
        library.check_pin()
    assert "pip install" in caught.value.hint


def heals_over_a_slow_link(rules: Rules) -> bool:
    """H3: a conflicting tail, and more than one batch on the way at once."""
    c = Cluster(rules=rules)
    c.elect("A")
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    c["A"].propose("phantom=1")
    c.run(0.1)
    c.elect("C")
    c.write("C", *[f"real{i}={'x' * 400}" for i in range(60)])
    c.run(1)
    c.crash("C")
    c.net.link_latency["A", "B"] = c.net.link_latency["B", "A"] = 0.05
    c.net.connect("A", "B")
    assert c.run(10, until=lambda: c.leader() == "B")
    waiter = c["B"].propose("after=1")
    return c.run(20, until=waiter.done)


def test_contradictory_corrections_do_not_stop_the_cluster() -> None:
    assert heals_over_a_slow_link(ALL_RULES)
    assert not heals_over_a_slow_link(without(Rule.ONE_RESET_PER_PROBE))


def entries_sent_over_a_slow_link(rules: Rules) -> int:
    c = Cluster(rules=rules, rtt_budget_ms=200)
    c.elect("A")
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    c.net.link_latency["A", "B"] = c.net.link_latency["B", "A"] = 0.075
    sent = 0

    def tap(_source: str, _target: str, message: Message) -> Message:
        nonlocal sent
        sent += len(message.get("entries") or ())
        return message

    c.net.tap = tap
    for i in range(100):
        c["A"].propose(f"k{i}=1")
        c.run(0.005)
    c.run(2)
    return sent


def test_nothing_is_sent_twice_because_an_answer_was_slow() -> None:
    assert entries_sent_over_a_slow_link(ALL_RULES) == 100
    assert entries_sent_over_a_slow_link(without(Rule.NO_REWIND_BY_ACK)) > 200


def term_after_a_rude_candidate(rules: Rules) -> int:
    c = Cluster(rules=rules)
    c.elect("A")
    before = c["B"].live.core.term
    rude: Message = {
        "type": codec.REQUEST_VOTE, "term": before + 5, "last_log_index": 99,
        "last_log_term": 99, "is_transfer": False,
    }  # fmt: skip
    c["B"].live.receive("C", codec.encode(rude))
    return c["B"].live.core.term - before


def test_nobody_votes_while_a_leader_is_heard() -> None:
    assert term_after_a_rude_candidate(ALL_RULES) == 0
    assert term_after_a_rude_candidate(without(Rule.STICKY_LEADER)) == 5


def terms_after_a_pause(rules: Rules) -> int:
    c = Cluster(rules=rules)
    c.elect("A")
    before = c["A"].live.core.term
    c["B"].is_paused = True
    c.run(5)
    c["B"].is_paused = False
    c.run(5)
    return c["C"].live.core.term - before


def test_a_stall_alone_is_no_reason_to_campaign() -> None:
    alone = without(Rule.PREVOTE, Rule.STICKY_LEADER)
    assert terms_after_a_pause(alone) == 0
    assert terms_after_a_pause(alone - {Rule.STALL}) > 0


def acks_of_a_failed_install(rules: Rules) -> int:
    """The library believes that an install worked; the machine shows that it did not."""
    c = Cluster(rules=rules)
    c.elect("A")
    c.write("A", "k=1")
    replica = c["B"].live
    replica.received_chunk = lambda _piece: True  # type: ignore[method-assign]
    replica.install = lambda: None  # type: ignore[method-assign]
    acks = 0

    def tap(source: str, _target: str, message: Message) -> Message:
        nonlocal acks
        acks += source == "B" and message["type"] == codec.ACK and message["success"]
        return message

    c.net.hold("A", "B")
    c.run(0.05)
    c.net.tap = tap
    piece: Message = {
        "type": codec.APPEND, "term": replica.core.term, "seq": 99, "commit_index": 1,
        "chunk": 0, "serialized": (b"", True, True),
    }  # fmt: skip
    replica.receive("A", codec.encode(piece))
    c["B"].needs_round = True
    c.run(0.01)
    return acks


def test_an_install_that_did_not_happen_is_not_acknowledged() -> None:
    assert acks_of_a_failed_install(ALL_RULES) == 0
    assert acks_of_a_failed_install(without(Rule.VERIFIED_INSTALL)) == 1


def restarts_asked_after_a_gap(rules: Rules) -> int:
    c = Cluster(rules=rules)
    c.elect("A")
    c.net.hold("A", "B")
    term = c["B"].live.core.term
    for number in (0, 2):
        piece: Message = {
            "type": codec.APPEND, "term": term, "seq": 99, "commit_index": 1, "chunk": number,
            "serialized": (b"x", number == 0, False),
        }  # fmt: skip
        c["B"].live.receive("A", codec.encode(piece))
    return c["B"].live.counters["snapshot gap"]


def test_a_gap_between_pieces_is_seen_at_once() -> None:
    assert restarts_asked_after_a_gap(ALL_RULES) == 1
    assert restarts_asked_after_a_gap(without(Rule.NUMBERED_CHUNKS)) == 0


def test_who_is_no_member_is_not_heard() -> None:
    message = codec.encode({"type": codec.TERM, "term": 99})
    for rules, moved in ((ALL_RULES, False), (without(Rule.MEMBERS_ONLY), True)):
        c = Cluster(rules=rules)
        c.elect("A")
        c["A"].live.receive("Z", message)
        assert (c["A"].live.core.term == 99) is moved


def test_an_old_leader_hears_of_the_new_term() -> None:
    for rules, told in ((ALL_RULES, 1), (without(Rule.TELL_OLD_LEADER), 0)):
        c = Cluster(rules=rules)
        c.elect("A")
        c.net.hold("A", "B")
        old = c["B"].live.core.term
        c["B"].live.core.step_down(term=old + 1)
        c["B"].live.receive("A", codec.encode({
            "type": codec.APPEND, "term": old, "seq": 1, "commit_index": 0, "prevLogIdx": 1,
            "prevLogTerm": 0, "entries": [],
        }))  # fmt: skip
        assert c["B"].live.counters["old leader told"] == told


def test_a_membership_entry_of_the_library_is_refused() -> None:
    c = Cluster()
    c.elect("A")
    with pytest.raises(Fatal, match="unknown kind"):
        c["A"].live.apply(99, b"\x02pickled membership")


def test_the_package_never_unpickles() -> None:
    package = Path(library.__file__).parent
    for path in sorted(package.glob("*.py")):
        assert "import pickle" not in path.read_text(), path
