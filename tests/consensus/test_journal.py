"""The log survives what a disk may do to it, or says that it did not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.consensus.sim_disk import SimDisk
from titan import limits
from titan.consensus import segment
from titan.consensus.disk import OsDisk
from titan.consensus.journal import Journal
from titan.errors import Fatal

HERE = Path("/d")


class Nobody:
    """Follows no membership: the entries here are any bytes."""

    def appended(self, index: int, payload: bytes) -> None:
        pass

    def truncated(self, index: int) -> None:
        pass


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_PREALLOCATE_BYTES", 4096)
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 1024)


def opened(disk: SimDisk) -> Journal:
    journal = Journal(disk, directory=HERE, watcher=Nobody())
    journal.open()
    return journal


def filled(disk: SimDisk, *, entries: int, term: int = 1) -> Journal:
    journal = opened(disk)
    for index in range(1, entries + 1):
        journal.add(b"command %d" % index, index, term)
        journal.sync()
    return journal


def log_of(journal: Journal) -> list[tuple[bytes, int, int]]:
    return journal[0 : len(journal)]


def opened_or_reason(disk: SimDisk) -> list[tuple[bytes, int, int]] | Fatal:
    try:
        return log_of(opened(disk))
    except Fatal as error:
        return error


def segments(disk: SimDisk) -> list[str]:
    return sorted(name for name in disk.names_now if "log-" in name)


def test_what_was_synced_is_read_back_across_segments() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=100)
    journal.setCurrentTerm(7, "B")
    journal.sync()
    again = opened(disk)
    assert log_of(again) == log_of(journal)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "B")
    assert len(segments(disk)) > 3


def test_one_round_costs_one_sync_and_an_idle_one_none() -> None:
    disk = SimDisk()
    journal = opened(disk)
    before = disk.syncs
    for index in range(1, 9):
        journal.add(b"x", index, 1)
    journal.sync()
    journal.sync()
    assert disk.syncs == before + 1


def test_a_truncation_is_replayed_even_when_the_segments_before_it_are_gone() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=60)
    journal.deleteEntriesFrom(50)
    journal.add(b"other", 51, 2)
    journal.sync()
    journal.deleteEntriesTo(49)
    assert log_of(opened(disk))[-1] == (b"other", 51, 2)


def test_trimming_unlinks_whole_segments_and_keeps_what_is_in_view() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=100)
    before = len(segments(disk))
    journal.trim(before=90)
    assert journal.first_index == 90
    assert len(segments(disk)) < before
    assert [e[1] for e in log_of(opened(disk))][-11:] == list(range(90, 101))


@pytest.mark.parametrize("seed", range(60))
def test_a_power_cut_at_any_sync_keeps_every_synced_entry(seed: int) -> None:
    disk, rng = SimDisk(), random.Random(seed)
    journal = opened(disk)
    synced: list[tuple[bytes, int, int]] = []
    disk.power_ends_at_sync = disk.syncs + rng.randrange(1, 80)
    cut_off = False
    while not cut_off:
        for _ in range(rng.randrange(1, 5)):
            index = len(journal) + 1
            journal.add(rng.randbytes(rng.randrange(1, 900)), index, 1)
        if rng.random() < 0.1:
            journal.setCurrentTerm(index, "A")
        attempted = log_of(journal)
        try:
            journal.sync()
            synced = attempted
        except Fatal:
            cut_off = True
    disk.power_cut(rng)
    again = log_of(opened(disk))
    assert again in (synced, attempted)


def test_what_a_killed_process_only_wrote_is_durable_once_it_was_read_back() -> None:
    disk = SimDisk()
    disk.honours_sync = False  # killed between the write and its sync
    journal = filled(disk, entries=3)
    journal.setCurrentTerm(7, "B")
    disk.honours_sync = True
    second_life = opened(disk)
    read_back = log_of(second_life), second_life.getCurrentTerm(), second_life.getVotedForNodeId()
    assert read_back[0][-1] == (b"command 3", 3, 1)
    for seed in range(20):
        disk.power_cut(random.Random(seed))
        third = opened(disk)
        assert (log_of(third), third.getCurrentTerm(), third.getVotedForNodeId()) == read_back


def test_every_torn_end_is_cut_off_and_the_log_goes_on() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=3)
    inode = disk.names_now[segments(disk)[-1]]
    start = journal._end
    journal.add(b"torn \0 entry", 4, 1)
    journal.sync()
    whole = bytes(inode.data)
    for cut in range(start, journal._end):
        inode.data[:] = whole[:cut].ljust(len(whole), b"\0")
        again = opened(disk)
        assert [e[1] for e in log_of(again)] == [1, 2, 3], cut
        again.add(b"next", 4, 1)
        again.sync()
        assert len(opened(disk)) == 4
        inode = disk.names_now[segments(disk)[-1]]


def test_no_flipped_byte_is_ever_believed() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=4)
    expected = log_of(journal)
    inode = disk.names_now[segments(disk)[-1]]
    clean = bytes(inode.data)
    for at in range(journal._end + 64):
        for mask in (0x01, 0x80):
            inode.data[:] = clean
            inode.data[at] ^= mask
            found = opened_or_reason(disk)
            if isinstance(found, Fatal):
                assert "offset" in str(found)
                assert found.hint
            else:
                assert found == expected, at
                assert at >= journal._end, at


def test_a_missing_segment_is_noticed() -> None:
    disk = SimDisk()
    filled(disk, entries=100)
    del disk.names_now[segments(disk)[1]]
    with pytest.raises(Fatal, match="gap between segments"):
        opened(disk)


def test_a_gap_in_the_indexes_is_noticed() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=3)
    record = segment.Record(segment.ENTRY, 1, 500, b"x")
    journal._buffer.append(segment.encode_record(record))
    journal.sync()
    with pytest.raises(Fatal, match="500"):
        opened(disk)


@pytest.mark.parametrize("copy", [0, 4096])
def test_one_damaged_copy_of_the_vote_is_mended(copy: int) -> None:
    disk = SimDisk()
    journal = filled(disk, entries=1)
    journal.setCurrentTerm(9, "C")
    journal.sync()
    disk.names_now["/d/hardstate.titan"].data[copy + 20] ^= 1
    again = opened(disk)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (9, "C")
    disk.names_now["/d/hardstate.titan"].data[4096 - copy + 20] ^= 1
    assert opened(disk).getCurrentTerm() == 9


def test_a_lost_vote_is_not_forgotten_quietly() -> None:
    disk = SimDisk()
    filled(disk, entries=1)
    for copy in (0, 4096):
        disk.names_now["/d/hardstate.titan"].data[copy + 20] ^= 1
    with pytest.raises(Fatal, match="term and vote"):
        opened(disk)
    del disk.names_now["/d/hardstate.titan"]
    with pytest.raises(Fatal, match="missing"):
        opened(disk)


def test_a_failed_sync_is_fatal_and_not_retried() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=1)
    journal.add(b"x", 2, 1)
    disk.fails = True
    with pytest.raises(Fatal, match="writing the log failed"):
        journal.sync()


def test_below_the_reserve_there_is_no_room() -> None:
    disk = SimDisk()
    journal = opened(disk)
    assert journal.has_room()
    disk.free = limits.DISK_RESERVE_BYTES - 1
    assert not journal.has_room()


def test_a_snapshot_newer_than_the_log_starts_it_anew_and_one_inside_keeps_the_rest() -> None:
    disk = SimDisk()
    journal = filled(disk, entries=10)
    journal.align(previous=(b"p", 4, 1), last=(b"command 5", 5, 1))
    assert journal.last_index == 10
    journal.align(previous=(b"p", 19, 3), last=(b"l", 20, 3))
    journal.sync()
    assert log_of(opened(disk)) == [(b"p", 19, 3), (b"l", 20, 3)]


def test_a_snapshot_older_than_the_logs_start_is_refused() -> None:
    journal = filled(SimDisk(), entries=50)
    journal.trim(before=40)
    with pytest.raises(Fatal, match="starts at 40"):
        journal.align(previous=(b"p", 4, 1), last=(b"l", 5, 1))


def test_two_processes_cannot_share_a_directory(tmp_path: Path) -> None:
    first, second = (Journal(OsDisk(), directory=tmp_path, watcher=Nobody()) for _ in range(2))
    first.open()
    with pytest.raises(Fatal, match="in use"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_real_disk_reads_back_what_a_real_disk_was_given(tmp_path: Path) -> None:
    journal = Journal(OsDisk(), directory=tmp_path, watcher=Nobody())
    journal.open()
    for index in range(1, 30):
        journal.add(bytes(index), index, 2)
        journal.sync()
    journal.close()
    again = Journal(OsDisk(), directory=tmp_path, watcher=Nobody())
    again.open()
    assert log_of(again) == [(bytes(i), i, 2) for i in range(1, 30)]
    again.close()
