"""Random faults by seed: `python -m tests.consensus.fuzz FIRST COUNT [--seconds 40] [--harsh]`.

Prints one line per seed that violates an invariant, and a summary. A run is a function of its seed
under PYTHONHASHSEED=0, so this re-executes itself with that. `--bare` runs the same seeds on the
library as it is shipped, too, and prints both side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.consensus import bare
from tests.consensus.sim import Cluster, Message, Waiter
from titan import limits
from titan.consensus.membership import Removed
from titan.consensus.rules import ALL_RULES, Rule
from titan.errors import NotLeader, Unavailable

HEAL_S = 40.0
SMALL = {
    "SEGMENT_PREALLOCATE_BYTES": 4096, "SEGMENT_BYTES": 16_384, "APPEND_BATCH_BYTES": 600,
    "PEER_WINDOW_BYTES": 6_000, "SNAPSHOT_CHUNK_BYTES": 200, "SNAPSHOT_BLOCK_BYTES": 256,
    "DIGEST_EVERY_ENTRIES": 16, "APPEND_BATCH_ENTRIES": 16,
}  # fmt: skip


def shrink_limits() -> None:
    """Sizes at which a few hundred entries fill segments, batches, windows and chunks."""
    for name, value in SMALL.items():
        setattr(limits, name, value)


class Run:
    """One seed."""

    def __init__(
        self,
        seed: int,
        *,
        harsh: bool,
        rules: frozenset[Rule] = ALL_RULES,
        make: Callable[..., Cluster] = Cluster,
        moves: bool = False,
    ) -> None:
        self.rng = random.Random(seed)
        names = "ABCDE" if seed % 4 == 3 else "ABC"
        self.cluster = make(
            names, seed=seed, rules=rules, snapshot_entries=self.rng.choice((20, 60, 400)),
            keep_entries=self.rng.choice((0, 4, 10)),
        )  # fmt: skip
        self.cluster.snapshot_s = self.rng.choice((0.0, 0.05, 1.0))
        self.harsh = harsh
        self.moves = moves
        self.loss: dict[tuple[str, str], float] = {}
        self.cluster.net.tap = self._tap
        self.writes: list[tuple[str, Waiter]] = []
        self.reads: list[tuple[int, Waiter]] = []
        self.applied: dict[int, bytes] = {}
        self.leaders: dict[int, str] = {}
        self.violations: list[str] = []
        self.down: set[str] = set()
        self.counters: Counter[str] = Counter()
        self.power_cuts = 0
        self.acked_index = 0
        self.asked: list[tuple[str, Waiter]] = []  # changes of the members

    def _tap(self, source: str, target: str, message: Message) -> Message | None:
        loss = self.loss.get((source, target), 0.0)
        return None if self.rng.random() < loss else message

    # --- invariants ------------------------------------------------------------------------

    def check(self) -> None:
        cluster = self.cluster
        unsent = len(cluster.net.queue) + sum(map(len, cluster.net.held.values()))
        if unsent >= bare.UNSENT_MAX:
            self.violations.append(f"FLOOD of {unsent} messages under way")
        for name, error in cluster.fatal:
            if isinstance(error, Removed):
                self.counters["removed member left"] += 1
                self.down.add(name)
                continue
            self.violations.append(f"FATAL on {name}: {error}")
        cluster.fatal.clear()
        for name, node in cluster.nodes.items():
            for index, payload in node.machine.history:
                if self.applied.setdefault(index, payload) != payload:
                    self.violations.append(f"DIVERGENCE at {index} on {name}")
            node.machine.history.clear()
            if node.is_leader:
                term = node.live.core.term
                if self.leaders.setdefault(term, name) != name:
                    self.violations.append(f"TWO LEADERS in term {term}")
        done = [w.result for _, w in self.writes if w.is_ok]
        self.acked_index = max([self.acked_index, *done])
        for floor, waiter in self.reads:
            if waiter.is_ok and waiter.result < floor:
                self.violations.append(f"STALE READ at {waiter.result}, acked {floor}")
        self.reads = [r for r in self.reads if not r[1].done()]

    # --- faults ----------------------------------------------------------------------------

    def load(self) -> None:
        for node in self.cluster.nodes.values():
            if not node.is_leader:
                continue
            for _ in range(self.rng.choice((0, 1, 3, 10))):
                key = f"k{len(self.writes)}"
                self.writes.append((key, node.propose(f"{key}={key * self.rng.choice((1, 9))}")))
            if self.rng.random() < 0.3:
                self.reads.append((self.acked_index, node.read()))

    def fault(self) -> None:
        c, net, rng = self.cluster, self.cluster.net, self.rng
        pairs = [(a, b) for a in c.names for b in c.names if a != b]
        name = rng.choice(c.names)
        match rng.choice(
            ("one-way", "isolate", "blackhole", "heal", "heal", "slow", "crash", "power", "all",
             "restart", "restart", "pause", "compact", "loss", "transfer", "reconnect", "stretch")
        ):  # fmt: skip
            case "one-way":
                net.hold(*rng.choice(pairs))
            case "isolate":
                for other in c.names:
                    if other != name:
                        net.disconnect(name, other)
            case "blackhole":
                for pair in pairs:
                    if name in pair:
                        net.hold(*pair)
            case "heal":
                self.heal()
            case "slow":
                pair = rng.choice(pairs)
                net.link_latency[pair] = rng.choice((0.05, 0.15, 0.3))
                net.link_message_s[pair] = rng.choice((0.0, 0.01, 0.03))
            case "crash" if 2 * (len(self.down) + 1) < len(c.names):
                self.crash(name, power=False)
            case "power" if 2 * (len(self.down) + 1) < len(c.names):
                self.crash(name, power=True)
            case "all":
                for each in c.names:
                    self.crash(each, power=True)
            case "restart":
                for each in sorted(self.down):
                    self.restart(each)
            case "pause":
                c[name].is_paused = not c[name].is_paused
            case "compact" if c[name].replica is not None:
                c[name].live.core.request_compaction()
            case "loss" if self.harsh:
                self.loss[rng.choice(pairs)] = rng.choice((0.05, 0.3))
            case "transfer" if c[name].is_leader:
                with contextlib.suppress(Unavailable, NotLeader):
                    c[name].live.begin_transfer(None, Waiter())
                    c.later(1.0, lambda: c[name].replica and c[name].live.abort_transfer())
            case "reconnect":
                a, b = rng.choice(pairs)
                net.disconnect(a, b)
                if not {a, b} & self.down:
                    net.connect(a, b)

    def move(self) -> None:
        """Somebody adds or removes a member, whatever goes on."""
        c, rng = self.cluster, self.rng
        leader = c.leader()
        if leader is None:
            return
        members = c[leader].live.members.roster.addresses
        spare = [name for name in "ABCDE" if name not in members]
        if spare and (len(members) <= 3 or rng.random() < 0.5):
            name = rng.choice(spare)
            known = c.nodes.get(name)
            if known is None or known.replica is None or rng.random() < 0.3:
                self.down.discard(name)
                c.join(name)  # an empty disk, a new identity
            self.asked.append(("add", c.add(name, by=leader)))
        elif len(members) > 3:
            name = rng.choice([each for each in members if each != leader])
            self.asked.append(("remove", c.remove(name, by=leader)))

    def crash(self, name: str, *, power: bool) -> None:
        if name not in self.down:
            self.collect(name)
            self.down.add(name)
            self.power_cuts += power
            self.cluster.crash(name, power=power)

    def collect(self, name: str) -> None:
        if self.cluster[name].replica is not None:
            self.counters.update(self.cluster[name].live.counters)

    def restart(self, name: str) -> None:
        self.down.discard(name)
        self.cluster[name].is_paused = False
        self.cluster.restart(name)

    def heal(self) -> None:
        net = self.cluster.net
        for pair in list(net.held):
            net.release(*pair)
        net.link_latency.clear()
        net.link_message_s.clear()
        self.loss.clear()
        self.cluster.heal()

    def member_names(self) -> list[str]:
        """Who belongs to the cluster as its leader sees it; without moves, everybody."""
        leader = self.cluster.leader()
        if not self.moves or leader is None:
            return self.cluster.names
        return list(self.cluster[leader].live.members.roster.addresses)

    def members_agree(self) -> bool:
        """Whether all members have applied the same; those that were removed are past caring."""
        names = self.member_names()
        live = [self.cluster[name] for name in names if self.cluster[name].replica is not None]
        ends = {(n.live.core.applied_index, n.live.core.log.last_index) for n in live}
        return (
            len(live) == len(names)
            and len(ends) == 1
            and len({n.machine.digest for n in live}) == 1
            and len(set(next(iter(ends)))) == 1
        )

    # --- the run ---------------------------------------------------------------------------

    def go(self, seconds: float) -> list[str]:
        end = self.cluster.now + seconds
        while self.cluster.now < end and not self.violations:
            self.cluster.run(0.1)
            self.check()
            self.load()
            if self.rng.random() < 0.12:
                self.fault()
            if self.moves and self.rng.random() < 0.05:
                self.move()
        if not self.violations:
            self.finish()
        return self.violations

    def finish(self) -> None:
        c = self.cluster
        for name in sorted(self.down):
            self.restart(name)
        self.counters.update(what for what, waiter in self.asked if waiter.is_ok)
        for node in c.nodes.values():
            node.is_paused = False
        self.heal()
        final: list[Waiter] = []

        def is_done() -> bool:
            leader = c.leader()
            if leader and not any(w.is_ok or not w.done() for w in final):
                final.append(c[leader].propose("final=1"))
            return any(w.is_ok for w in final) and self.members_agree()

        healed = False
        end = c.now + HEAL_S
        while c.now < end and not healed and not self.violations:
            healed = c.run(1.0, until=is_done)
            self.check()
        if self.violations:
            return
        for name in c.names:
            self.collect(name)
        if not healed:
            views = [(n, x.replica and x.live.status) for n, x in c.nodes.items()]
            self.violations.append(f"STUCK {HEAL_S} s after heal: {views}")
            return
        for name in self.member_names():
            lost = [k for k, w in self.writes if w.is_ok and k not in c[name].machine.data]
            if lost:
                self.violations.append(f"LOST on {name}: {lost[:5]} and {len(lost)} in all")


def bare_cluster(names: str, **sizes: Any) -> Cluster:
    """The library as shipped; a leader without a majority gives up as fast as Titan's does."""
    return bare.Cluster(names, conf={"leaderFallbackTimeout": 1.0}, **sizes)


def kind_of(violation: str) -> str:
    """The class of a violation: its words in capitals."""
    found = re.match(r"[A-Z]+(?: [A-Z]{2,})*", violation)
    assert found, violation
    return found[0]


def compare(first: int, count: int, *, seconds: float, harsh: bool) -> int:
    """The same seeds with the bare library and with Titan; 1 when Titan violated anything."""
    bad: dict[str, Counter[str]] = {}
    acked: Counter[str] = Counter()
    for name, make in (("bare library", bare_cluster), ("Titan", Cluster)):
        bad[name] = Counter()
        for seed in range(first, first + count):
            run = Run(seed, harsh=harsh, make=make)
            kinds = {kind_of(violation) for violation in run.go(seconds)}
            bad[name].update(kinds)
            bad[name]["seeds with a violation"] += bool(kinds)
            acked[name] += sum(waiter.is_ok for _, waiter in run.writes)
    rows = sorted({kind for kinds in bad.values() for kind in kinds})
    print(f"{count} seeds of {seconds:g} s, {'messages lost' if harsh else 'links as TCP'}")  # noqa: T201
    print(f"{'':32}{'bare library':>14}{'Titan':>8}")  # noqa: T201
    for row in rows:
        print(f"{row:32}{bad['bare library'][row]:>14}{bad['Titan'][row]:>8}")  # noqa: T201
    print(f"{'acknowledged writes':32}{acked['bare library']:>14}{acked['Titan']:>8}")  # noqa: T201
    return 1 if bad["Titan"]["seeds with a violation"] else 0


def main() -> int:
    """Run seeds; the exit code says whether all of them held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--harsh", action="store_true")
    parser.add_argument("--without", type=Rule, action="append", default=[])
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--moves", action="store_true", help="add and remove members, too")
    arguments = parser.parse_args()
    shrink_limits()
    if arguments.bare:
        return compare(
            arguments.first, arguments.count, seconds=arguments.seconds, harsh=arguments.harsh
        )
    bad, acked, cuts = 0, 0, 0
    counters: Counter[str] = Counter()
    for seed in range(arguments.first, arguments.first + arguments.count):
        run = Run(
            seed, harsh=arguments.harsh, rules=ALL_RULES - set(arguments.without),
            moves=arguments.moves,
        )  # fmt: skip
        violations = run.go(arguments.seconds)
        acked += sum(w.is_ok for _, w in run.writes)
        cuts += run.power_cuts
        counters.update(run.counters)
        if violations:
            bad += 1
            print(f"seed {seed}: {violations[:3]}", flush=True)  # noqa: T201
    print(f"{arguments.count} seeds, {bad} bad, {acked} acked, {cuts} power cuts")  # noqa: T201
    print(dict(counters))  # noqa: T201
    return 1 if bad else 0


def reexec_with_fixed_hashes(argv: list[str]) -> Any:
    """Sets of nodes are iterated by the library: fix their order."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *argv], {**os.environ, "PYTHONHASHSEED": "0"})


if __name__ == "__main__":
    reexec_with_fixed_hashes(sys.argv)
    sys.exit(main())
