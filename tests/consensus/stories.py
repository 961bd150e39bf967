"""Stories that can be told of the bare library and of Titan's member alike; each answers its damage.

`make` builds a cluster of one or the other. An answer of nothing (0, False, an empty list) means
that the story ended well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.consensus.sim import Cluster, Message, Waiter

Make = Callable[..., Cluster]


def keys_on(cluster: Cluster, name: str, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in cluster[name].machine.data)


def isolate(cluster: Cluster, name: str) -> None:
    for other in cluster.names:
        if other != name:
            cluster.net.disconnect(name, other)


def succeed(cluster: Cluster, name: str) -> None:
    """`name` takes over from a leader that is gone; twice as long as its patience."""
    cluster.run(60, until=lambda: cluster.nodes[name].is_leader)


def phantom_answers(make: Make) -> list[Any]:
    """H1: a deposed leader's own tail, then the first pieces of the next leader's snapshot."""
    c = make()
    c.elect("A")
    c.write("A", *[f"base{i}=1" for i in range(5)])
    isolate(c, "A")
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
    c.net.release("C", "A")
    c.run(3)
    assert keys_on(c, "C", "phantom") == 0
    return [waiter.result for waiter in phantoms if waiter.is_ok]


def lost_by_a_repeated_append(make: Make) -> int:
    """H2: one append arrives once more, late, and then the leader dies."""
    c = make()
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
    assert all(waiter.is_ok for waiter in waiters)
    c.net.inject("A", "B", saved[0])
    c.run(0.006)
    c.net.tap = None
    c.crash("A")
    c.net.connect("B", "C")
    c.run(12, until=lambda: c.leader() is not None and c.converged())
    return 40 - keys_on(c, "C", "k")


def lost_over_a_slow_link(make: Make, crash_ms: int) -> list[int]:
    """H2: answers are slow, the third member is away, and the leader dies. No message is lost."""
    c = make(rtt_budget_ms=200)
    c.elect("A")
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    for pair in (("A", "B"), ("B", "A")):
        c.net.link_latency[pair] = 0.175
    c.net.link_message_s["A", "B"] = 0.04
    waiters: list[Waiter] = []
    end = c.now + crash_ms / 1000
    while c.now < end:
        waiters.append(c["A"].propose(f"k{len(waiters)}=1"))
        c.run(0.005)
    acked = [i for i, waiter in enumerate(waiters) if waiter.is_ok]
    c.crash("A")
    c.net.connect("B", "C")
    c.run(40, until=lambda: c.leader() is not None and c.converged())
    return [i for i in acked if f"k{i}" not in c["C"].machine.data]


def times_a_healthy_log_shrinks(make: Make) -> int:
    """H2: how often a follower deletes entries although nothing whatever goes wrong."""
    c = make(rtt_budget_ms=200)
    c.elect("A")
    shrunk, last = 0, 0
    for pair in (("A", "B"), ("B", "A")):
        c.net.link_latency[pair] = 0.15
    c.net.link_message_s["A", "B"] = 0.02
    for i in range(300):
        c["A"].propose(f"k{i}={'x' * 50}")
        c.run(0.005)
        end = c["B"].live.core.log.last_index
        shrunk += end < last
        last = end
    return shrunk


def is_stuck_with_a_conflicting_tail(make: Make, tail: int, real: int) -> bool:
    """H3: one member has a tail of its own, the new leader has several batches to send."""
    c = make()
    c.elect("A")
    c.write("A", "base=1")
    isolate(c, "A")
    for i in range(tail):
        c["A"].propose(f"phantom{i}=1")
    c.run(0.1)
    c.elect("C")
    c.write("C", *[f"real{i}={'x' * 400}" for i in range(real)])
    c.run(1)
    c.crash("C")
    c.net.connect("A", "B")
    assert c.run(60, until=lambda: c.leader() == "B")
    waiter = c["B"].propose("after=1")
    return not c.run(60, until=waiter.done)


def lost_by_stale_acks(make: Make) -> int:
    """H4: five members; acks of a first reign arrive in a second reign of the same leader."""
    c = make("ABCDE")
    c.elect("A")
    c.write("A", "base=1")
    for other in "CDE":
        c.net.disconnect("A", other)
    c.net.hold("B", "A")
    for i in range(5):
        c["A"].propose(f"old{i}=1")
    c.run(0.3)
    c.net.blocked.add(("A", "B"))
    c.elect("C")
    c.net.connect("A", "C")
    c.run(0.5)
    c.net.connect("A", "D")
    for pair in ("CB", "BD", "BE"):
        c.net.disconnect(*pair)
    c.elect("A")
    c.net.disconnect("A", "D")
    waiters = [c["A"].propose(f"new{i}=1") for i in range(4)]
    c.run(0.1)
    for message in c.net.held.get(("B", "A"), []):
        c.net.enqueue("B", "A", message)
    c.run(0.4)
    acked = sum(waiter.is_ok for waiter in waiters)
    c.crash("A")
    c.crash("C")
    for pair in ("BD", "BE", "DE"):
        c.net.connect(*pair)
    c.run(20)
    return acked - min(acked, keys_on(c, "D", "new"))


def lost_by_an_install_that_failed(make: Make) -> int:
    """H6: a piece of a snapshot is lost, and then only the two who disagree about it are there."""
    c = make(seed=7)
    c.elect("C")
    c.write("C", "base=1")
    c["C"].live.core.request_compaction()
    c.run(0.3)
    isolate(c, "C")
    for i in range(100):
        c["C"].propose(f"phantom{i}=1")
    c.run(0.2)
    c.elect("A")
    c.write("A", *[f"real{i}=1" for i in range(50)])
    c["A"].live.core.request_compaction()
    c.run(0.5)
    pieces = 0

    def tap(source: str, target: str, message: Message) -> Message | None:
        nonlocal pieces
        if (source, target) == ("A", "C") and message.get("serialized"):
            pieces += 1
            return None if pieces == 3 else message
        return message

    c.net.tap = tap
    c.net.connect("A", "C")
    c.run(0.6)
    assert pieces > 3
    c.crash("B")
    waiters = [c["A"].propose(f"acked{i}=1") for i in range(20)]
    c.run(3)
    acked = [i for i, waiter in enumerate(waiters) if waiter.is_ok]
    c.crash("A")
    c.restart("B")
    c.run(15)
    kept = max(keys_on(c, name, "acked") for name in "BC")
    return len(acked) - min(len(acked), kept)


def commits_what_no_majority_has(make: Make) -> bool:
    """H6: as above, but what the follower claims to hold lies within the leader's log."""
    c = make(seed=7)
    c.elect("C")
    c.write("C", "base=1")
    isolate(c, "C")
    for i in range(70):
        c["C"].propose(f"phantom{i}=1")
    c.run(0.2)
    c.elect("A")
    c.write("A", *[f"real{i}=1" for i in range(50)])
    c["A"].live.core.request_compaction()
    c.run(0.5)
    c.crash("B")
    for i in range(30):
        c["A"].propose(f"alone{i}=1")
    c.run(0.3)
    before, pieces = c["A"].live.core.commit_index, 0

    def tap(source: str, target: str, message: Message) -> Message | None:
        nonlocal pieces
        if (source, target) != ("A", "C"):
            return message
        if message.get("serialized"):
            pieces += 1
            return None if pieces == 3 else message
        return None if pieces and message["type"] == "append_entries" else message

    c.net.tap = tap
    c.net.connect("A", "C")
    c.run(0.25)
    assert pieces >= 3
    return c["A"].live.core.commit_index > before


def seconds_a_deaf_leader_leads(make: Make) -> float:
    """H5: a leader that is heard and hears nobody; no writes are possible meanwhile."""
    c = make()
    c.elect("A")
    for other in "BC":
        c.net.hold(other, "A")
    since = c.now
    c.run(60, until=lambda: not c["A"].is_leader)
    return c.now - since


def two_leaders(make: Make) -> bool:
    """H5: nobody notices that one leader's messages go nowhere."""
    c = make()
    c.elect("A")
    for pair in ("AB", "BA", "AC", "CA"):
        c.net.hold(*pair)
    c.run(10)
    assert c.leader("BC") is not None
    return c["A"].is_leader


def terms_of_a_deaf_member(make: Make) -> int:
    """H9: one member hears nobody for a minute."""
    c = make()
    c.elect("A")
    before = c["A"].live.core.term
    c.net.hold("A", "C")
    c.net.hold("B", "C")
    c.run(60)
    c.net.release("A", "C")
    c.net.release("B", "C")
    c.run(3)
    return c["B"].live.core.term - before


def terms_of_a_flapping_member(make: Make) -> int:
    """H9: one member is cut off, unnoticed, again and again."""
    c = make()
    c.elect("A")
    before = c["A"].live.core.term
    for _ in range(6):
        for pair in ("AC", "BC", "CA", "CB"):
            c.net.blocked.add((pair[0], pair[1]))
        c.run(9)
        c.net.blocked.clear()
        c.run(3)
    return c["A"].live.core.term - before


def terms_after_a_pause(make: Make) -> int:
    """H10: one member sleeps while heartbeats wait in its socket."""
    c = make()
    c.elect("A")
    before = c["A"].live.core.term
    c["B"].is_paused = True
    c.run(5)
    c["B"].is_paused = False
    c.run(5)
    return c["C"].live.core.term - before


def leads_by_repeated_vote(make: Make) -> bool:
    """H7: one vote of five members arrives twice, the others not at all."""
    c = make("ABCDE")

    def tap(source: str, target: str, message: Message) -> Message | None:
        if message["type"] == "response_vote" and source != "B":
            return None
        if message["type"] == "response_vote":
            c.net.inject(source, target, message)
        return message

    c.net.tap = tap
    c["A"].live.core.election_due = 0.0
    for other in "BCDE":
        c[other].live.core.election_due = c.now + 50
    c.run(0.2)
    return c["A"].is_leader
