"""What the library does as it is shipped: the reasons for every seam and every rule of the guard.

A test here passes when the bare library goes wrong. `reproductions.py` pairs each with the test that
shows Titan's member doing right; a story that both can be told is in `stories.py` and told twice.
These tests keep the simulator honest: one that can no longer hurt the library proves nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import pickle
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pysyncobj.batteries import ReplDict, ReplSet
from pysyncobj.journal import FileJournal
from pysyncobj.node import Node

from tests.consensus import bare, sim, stories
from tests.consensus.sim import Cluster, small_limits

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

STORIES: dict[str, Callable[[stories.Make], object]] = {
    "phantom_answers": stories.phantom_answers,
    "lost_by_a_repeated_append": stories.lost_by_a_repeated_append,
    "lost_over_a_slow_link": lambda make: [
        lost for ms in range(200, 2400, 40) if (lost := stories.lost_over_a_slow_link(make, ms))
    ],
    "times_a_healthy_log_shrinks": stories.times_a_healthy_log_shrinks,
    "is_stuck_with_a_conflicting_tail": lambda make: stories.is_stuck_with_a_conflicting_tail(
        make, 1, 60
    ),
    "lost_by_stale_acks": stories.lost_by_stale_acks,
    "seconds_a_deaf_leader_leads": lambda make: stories.seconds_a_deaf_leader_leads(make) > 5,
    "two_leaders": stories.two_leaders,
    "lost_by_an_install_that_failed": stories.lost_by_an_install_that_failed,
    "commits_what_no_majority_has": stories.commits_what_no_majority_has,
    "leads_by_repeated_vote": stories.leads_by_repeated_vote,
    "terms_of_a_deaf_member": stories.terms_of_a_deaf_member,
    "terms_of_a_flapping_member": stories.terms_of_a_flapping_member,
    "terms_after_a_pause": stories.terms_after_a_pause,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)


@pytest.mark.parametrize("story", STORIES)
def test_the_story_hurts_the_bare_library(story: str) -> None:
    assert STORIES[story](bare.Cluster)


@pytest.mark.parametrize("story", STORIES)
def test_the_story_does_not_hurt_titan(story: str) -> None:
    assert not STORIES[story](sim.Cluster)


def elected(name: str = "A", names: str = "ABC", **settings: Any) -> bare.Cluster:
    c = bare.Cluster(names, **settings)
    c.elect(name)
    c.run(0.5)
    return c


def counts(c: Cluster) -> list[int]:
    return [c[name].live.so.count for name in c.names]  # type: ignore[attr-defined]


def compact_everybody(c: Cluster) -> None:
    c.run(0.5)
    for name in c.names:
        c[name].live.core.request_compaction()
    c.run(0.1)


# --- H12, H15, H16: exceptions ---------------------------------------------------------------


def test_a_callback_that_raises_makes_its_node_apply_the_entry_twice() -> None:
    c = elected()

    def raises(_result: object, _error: int) -> None:
        raise RuntimeError("bug of a caller")

    c.so("A").incr(callback=raises)
    c.run(1)
    assert counts(c) == [2, 1, 1]


async def test_a_future_that_its_caller_gave_up_is_enough_for_that() -> None:
    c = elected()
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    c.so("A").incr(callback=lambda result, _error: gone.set_result(result))
    c.run(1)
    assert counts(c) == [2, 1, 1]


def test_a_method_that_raises_stops_everybody_for_good() -> None:
    c = elected()
    c.so("A").boom("x")
    c.run(0.3)
    (waiter,) = c.write("A", "after=1", seconds=20)
    assert not waiter.done()
    assert min(counts(c)) > 100
    again = bare.Cluster(journals=c.journals, seed=3)
    again.run(10)
    assert again.errors
    assert all("after" not in again[name].machine.data for name in again.names)


def test_a_battery_raises_in_apply_too() -> None:
    def with_a_set(library: ModuleType) -> Any:
        base = bare.keys_class(library)

        class WithSet(base):  # type: ignore[misc, valid-type]
            def __init__(self, *known: Any) -> None:
                # Consumers are recognised by class, and a private copy has classes of its own.
                members = ReplSet()
                library.SyncObjConsumer = ReplSet.__mro__[1]  # type: ignore[attr-defined]
                super().__init__(*known, consumers=[members])
                self._SyncObj__properies.add("members")
                self.members = members

        return WithSet

    c = elected(keys=with_a_set)
    c.so("A").members._syncObj._applyCommand(
        pickle.dumps((_method(c.so("A"), "remove"), ("absent",))), None, 0
    )
    c.run(5)
    (waiter,) = c.write("A", "after=1", seconds=10)
    assert not waiter.done()
    assert c.errors


def _method(so: Any, name: str) -> int:
    return next(
        number for key, number in so._methodToID.items()
        if isinstance(key, tuple) and key[1].startswith(name)
    )  # fmt: skip


# --- H13: membership -------------------------------------------------------------------------


def test_two_members_added_at_once_split_the_brain() -> None:
    c = bare.Cluster("ABC", conf={"dynamicMembershipChange": True}, seed=8)
    c.elect("A")
    c.write("A", "base=1")
    c.net.disconnect("A", "B")
    c.net.disconnect("A", "C")
    for name in "DE":
        c.classes[name] = c.classes["A"]
        c.names.append(name)
        c.nodes[name] = sim.Node(c, name)
        c.start(name)
    for name in "DE":
        c.so("A").addNodeToCluster(Node(name))
    c.run(0.05)
    for pair in ("AD", "AE", "DE"):
        c.net.connect(*pair)
    side = c["A"].propose("side=A")
    c.run(1)
    c["B"].live.core.election_due = 0.0
    assert c.run(5, until=lambda: c.leader("BC") is not None)
    other = c[c.leader("BC") or ""].propose("side=B")
    c.run(1.5)
    assert side.is_ok
    assert other.is_ok
    assert c["A"].machine.data["side"] != c["B"].machine.data["side"]


# --- H17, H18: versions ----------------------------------------------------------------------


def upgraded(library: ModuleType) -> Any:
    class Upgraded(bare.keys_class(library)):  # type: ignore[misc]
        @library.replicated(ver=1)
        def newer(self) -> None:
            pass

    return Upgraded


def renumbered(library: ModuleType) -> Any:
    class Renumbered(bare.keys_class(library)):  # type: ignore[misc]
        @library.replicated
        def an_added_method(self, value: object = None) -> None:
            self.data["added"] = str(value)

    return Renumbered


def test_a_member_that_is_not_upgraded_applies_an_entry_twice() -> None:
    c = elected(keys={"A": upgraded, "B": upgraded, "C": bare.keys_class})
    c.so("A").setCodeVersion(1)
    c.so("A").incr()
    c.so("A").incr()
    c.run(2)
    assert counts(c)[:2] == [2, 2]
    assert counts(c)[2] > 2


def test_a_new_method_renumbers_the_others() -> None:
    c = elected(keys={"A": renumbered, "B": renumbered, "C": bare.keys_class})
    c.so("A").incr()
    c.so("A").incr()
    c.run(1)
    assert counts(c)[:2] == [2, 2]
    assert counts(c)[2] == 0
    assert c.errors


def test_a_dump_with_fewer_parts_leaves_half_a_state_that_leads() -> None:
    def with_parts(count: int) -> Callable[[ModuleType], Any]:
        def make(library: ModuleType) -> Any:
            class Parts(bare.keys_class(library)):  # type: ignore[misc]
                def __init__(self, *known: Any) -> None:
                    parts = [ReplDict() for _ in range(count)]
                    library.SyncObjConsumer = ReplDict.__mro__[1]  # type: ignore[attr-defined]
                    super().__init__(*known, consumers=parts)

            return Parts

        return make

    c = elected(names="A", keys=with_parts(1))
    c.write("A", *[f"k{i}=1" for i in range(10)])
    c["A"].live.core.request_compaction()
    c.run(0.5)
    c.write("A", "after=1")
    c.crash("A")
    c.classes["A"] = with_parts(2)(c.library)
    c.restart("A")
    assert c.run(5, until=lambda: c["A"].is_leader)
    (waiter,) = c.write("A", "new=1", seconds=5)
    assert c["A"].live.core.applied_index < 12
    assert not waiter.done()


# --- H19: entries in pieces ------------------------------------------------------------------


def test_entries_of_some_sizes_raise_in_the_receiver() -> None:
    c = elected(names="AB", conf={"appendEntriesBatchSizeBytes": 65_536})
    base = len(pickle.dumps((1, ("",)), 2)) + 1
    for shorter in range(0, 40, 4):
        c.so("A").put("y" * (131_072 - base - shorter))
        c.run(0.5)
    assert any("EOFError" in error for _, error in c.errors)


def test_a_lost_first_piece_raises_too() -> None:
    c = elected(names="AB")
    lost = 0

    def tap(_source: str, _target: str, message: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal lost
        if message.get("transmission") == "start" and not lost:
            lost += 1
            return None
        return message

    c.net.tap = tap
    c.so("A").put("y" * 200_000)
    c.run(3)
    assert any("TypeError" in error for _, error in c.errors)


# --- H21: clients ----------------------------------------------------------------------------


def drop_first(c: bare.Cluster, kind: str) -> None:
    left = 1

    def tap(_source: str, _target: str, message: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal left
        if message["type"] == kind and left:
            left -= 1
            return None
        return message

    c.net.tap = tap


def test_a_forwarded_command_that_is_lost_is_never_answered() -> None:
    c = elected()
    drop_first(c, "apply_command")
    answers: list[Any] = []
    c.so("B").incr(callback=lambda *answer: answers.append(answer))
    c.run(60)
    assert not answers
    assert c.leader() == "A"


def test_a_client_that_retries_as_told_acts_twice() -> None:
    c = elected()
    drop_first(c, "apply_command_response")
    codes: list[int] = []

    def again(_result: object, code: int) -> None:
        codes.append(code)
        if code and len(codes) == 1:
            c.so("B").incr(callback=again)

    c.so("B").incr(callback=again)
    c.run(1)
    c.elect("C")
    c.run(2)
    assert codes[0] == 5  # LEADER_CHANGED
    assert codes[1:] == [0]
    assert counts(c) == [2, 2, 2]


def test_callbacks_below_an_installed_dump_are_never_called() -> None:
    c = elected()
    stories.isolate(c, "A")
    answers: list[Any] = []
    for _ in range(3):
        c.so("A").incr(callback=lambda *answer: answers.append(answer))
    c.run(0.2)
    c.elect("C")
    c.write("C", *[f"k{i}=1" for i in range(50)])
    c["C"].live.core.request_compaction()
    c.run(0.5)
    c.heal()
    c.run(30)
    assert not answers
    assert c["A"].machine.data == c["C"].machine.data


def test_a_command_runs_long_after_its_client_gave_up() -> None:
    c = bare.Cluster(conf={"commandsWaitLeader": True})
    for pair in ("AB", "AC", "BC"):
        c.net.disconnect(*pair)
    c.run(1)
    c.so("A").incr()
    c.run(600, step_s=0.05)
    c.heal()
    c.run(5)
    assert counts(c) == [1, 1, 1]


# --- H20, H32: power -------------------------------------------------------------------------


def test_a_stored_commit_index_ahead_of_the_log_answers_without_replication() -> None:
    journals = {}
    for name in "ABC":
        journal = journals[name] = bare.Journal()
        for index in range(1, 11):
            journal.add(b"\x01", index, 1)
        journal.setCurrentTerm(1, None)
        journal.commit_index = 40  # it survived, and the pages of entries 11 to 40 did not
    c = bare.Cluster(journals=journals)
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    c.elect("A")
    c.net.disconnect("A", "B")
    (waiter,) = c.write("A", "alone=1")
    assert waiter.is_ok
    assert c["B"].live.core.log.last_index < waiter.result


# --- H25, H27, H28, H29, H30: dumps ----------------------------------------------------------


def test_a_kill_during_the_dump_loses_what_was_acknowledged_meanwhile() -> None:
    c = bare.Cluster(conf={"useFork": True})
    with bare.slow_fork(c) as children_finish:
        c.elect("A")
        c.write("A", *[f"before{i}=1" for i in range(50)])
        compact_everybody(c)
        assert all(w.is_ok for w in c.write("A", *[f"acked{i}=1" for i in range(30)]))
        for name in "ABC":
            c.crash(name)
        children_finish()
    for name in "ABC":
        c.restart(name)
    c.run(10)
    assert [stories.keys_on(c, name, "acked") for name in "ABC"] == [0, 0, 0]


def test_a_late_dump_replaces_a_newer_one() -> None:
    c = bare.Cluster(conf={"useFork": True})
    with bare.slow_fork(c) as children_finish:
        c.elect("A")
        c.write("A", *[f"k{i}=1" for i in range(20)])
        c.run(0.5)
        c["B"].live.core.request_compaction()
        c.run(0.1)
        stories.isolate(c, "B")
        c.write("A", *[f"m{i}=1" for i in range(60)])
        own = c.so("A")._SyncObj__serializer
        own._Serializer__useFork = False  # A's dump is quick, B's is not
        c["A"].live.core.request_compaction()
        c.run(0.5)
        c.net.connect("A", "B")
        c.run(1)
        assert stories.keys_on(c, "B", "m") == 60
        c.crash("C")
        assert all(w.is_ok for w in c.write("A", *[f"acked{i}=1" for i in range(10)]))
        children_finish()
    c.crash("B")
    c.restart("B", links="")
    c.run(0.1)
    assert c["B"].live.core.log.last_index < 30
    c.crash("A")
    c.restart("C", links="B")
    c.run(15)
    assert stories.keys_on(c, "B", "acked") == stories.keys_on(c, "C", "acked") == 0


def test_a_journal_without_a_dump_file_is_accepted_and_loses_everything() -> None:
    c = elected(dumps=False)
    c.write("A", *[f"k{i}=1" for i in range(50)])
    compact_everybody(c)
    for name in "ABC":
        c.crash(name)
    for name in "ABC":
        c.restart(name)
    c.run(10)
    assert [len(c[name].machine.data) for name in "ABC"] == [0, 0, 0]


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_member_with_an_unreadable_dump_is_empty_and_still_leads(damage: str) -> None:
    c = elected()
    c.write("A", *[f"k{i}=1" for i in range(50)])
    compact_everybody(c)
    c.write("A", "z=1")
    c.crash("B")
    dump = bytearray(c.dump_file("B").read_bytes())
    dump[len(dump) // 2] ^= 1
    c.dump_file("B").write_bytes(bytes(dump) if damage == "flip" else dump[: len(dump) // 2])
    c.restart("B")
    c.run(3)
    assert c["B"].machine.data == {}
    c.elect("B")
    (waiter,) = c.write("B", "after=1", seconds=10)
    assert not waiter.done()


def test_some_flipped_bits_of_a_dump_pass_for_another_state(tmp_path: Path) -> None:
    rng = random.Random(1)
    state = {"data": {f"k{i}": rng.randbytes(300) for i in range(200)}}
    whole = (state, (b"x", 53, 1), (b"x", 52, 1), set())
    path = tmp_path / "dump"
    with gzip.open(path, "wb") as file:
        file.write(pickle.dumps(whole))
    good = path.read_bytes()
    serializer = bare._private_copy("pysyncobj.serializer").Serializer(
        str(path), 65_536, False, None, None, None
    )
    silent = 0
    for _ in range(100):
        flipped = bytearray(good)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            silent += serializer.deserialize() != whole
        except Exception:
            continue
    assert silent > 10


# --- H26, H31, H33, H34: the file journal ----------------------------------------------------

HEADER, RECORD = 40, 4 + 16 + 8 + 4


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    made = FileJournal(str(path))
    for index in range(1, 21):
        made.add(b"\x00cmd%04d" % index, index, 3)
    made.setCurrentTerm(7, "B")
    made.setRaftCommitIndex(20)
    made.onOneSecondTimer()
    made._destroy()
    return path


def poke(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def entries(path: Path) -> list[tuple[bytes, int, int]]:
    opened = FileJournal(str(path))
    found = list(opened[:])
    opened._destroy()
    return found


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (HEADER + 10 * RECORD + 4 + 16 + 5, b"9"),
        (HEADER + 10 * RECORD + 4, (500).to_bytes(8, "little")),
        (HEADER + 10 * RECORD + 4 + 8, (1).to_bytes(8, "little")),
    ],
    ids=["command", "index", "term"],
)
def test_a_changed_byte_of_the_journal_is_believed(journal: Path, offset: int, data: bytes) -> None:
    before = entries(journal)
    poke(journal, offset, data)
    assert entries(journal) != before


def test_a_wrong_end_makes_acknowledged_records_vanish(journal: Path) -> None:
    poke(journal, 36, (HEADER + 5 * RECORD).to_bytes(4, "little"))
    assert len(entries(journal)) == 5


def test_a_torn_end_keeps_the_journal_from_opening(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.truncate(HEADER + 15 * RECORD)
    with pytest.raises((struct.error, ValueError, IndexError)):
        entries(journal)


def test_a_lost_vote_file_means_that_the_vote_never_was(journal: Path) -> None:
    Path(f"{journal}.meta").write_bytes(b"")
    opened = FileJournal(str(journal))
    assert (opened.getCurrentTerm(), opened.getVotedForNodeId()) == (0, None)
    opened._destroy()


def test_a_kill_while_trimming_keeps_only_a_part(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    opened, add, calls = FileJournal(str(journal)), FileJournal.add, iter(range(100))

    def dying(self: Any, *entry: Any) -> None:
        if next(calls) == 3:
            raise Killed
        add(self, *entry)

    monkeypatch.setattr(FileJournal, "add", dying)
    with pytest.raises(Killed):
        opened.deleteEntriesTo(5)
    monkeypatch.undo()
    assert len(entries(journal)) == 3


def test_the_journal_ends_at_four_gibibytes(tmp_path: Path) -> None:
    opened = FileJournal(str(tmp_path / "journal"))
    with pytest.raises(Exception, match=r"format requires|argument out of range"):
        opened._FileJournal__setLastRecordOffset(2**32)


FILL = """
import sys
from pysyncobj.journal import FileJournal
journal = FileJournal(sys.argv[1])
for index in range(1, 2000):
    journal.add(b"x" * 1000, index, 1)
"""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Any:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_kills_the_process_by_a_signal(tiny_disk: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tiny_disk / "journal")],
        capture_output=True, check=False, cwd=os.sep,
    )  # fmt: skip
    assert run.returncode < 0


KEEP = """
import sys
from pathlib import Path
from titan import limits
from titan.consensus.disk import OsDisk
from titan.consensus.journal import Journal
from titan.consensus.membership import Membership
from titan.errors import Fatal
limits.SEGMENT_PREALLOCATE_BYTES = 4096
journal = Journal(OsDisk(), directory=Path(sys.argv[1]), watcher=Membership(address="A"))
journal.open()
try:
    for index in range(1, 2000):
        journal.add(b"x" * 1000, index, 1)
        journal.sync()
except Fatal as error:
    print(index, error)
"""


def test_a_full_disk_is_an_error_with_a_name_for_titan(tiny_disk: Path) -> None:
    root = Path(__file__).parent.parent.parent
    run = subprocess.run(
        [sys.executable, "-c", KEEP, str(tiny_disk / "raft")],
        capture_output=True, text=True, check=False, cwd=root,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "writing the log failed" in run.stdout
