"""The log on disk and in memory, in the shape the library expects of a journal.

Owns segments, the hard state and the directory lock. Changes gather in a buffer and become durable
by `sync()`, once per round; nothing that depends on them may leave the member before. Entries are
never rewritten: a truncation is a record, trimming moves the start of the view and unlinks whole
segments. The commit index is not stored (a member that trusts a stored one can serve entries that
the power cut took away); after a restart the leader says it again.
Any error while writing is fatal: after a failed sync nobody knows what the disk holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeAlias, overload

from titan import limits
from titan.consensus import segment, segment_files
from titan.consensus.disk import Disk, File, read_whole
from titan.consensus.hardstate import HardStateFile
from titan.errors import Fatal

Entry: TypeAlias = tuple[bytes, int, int]  # command, index, term: the library's order

CHANGE: Final = b"\x03"  # kind of an entry that names the members; see `membership.py`


class Watcher(Protocol):
    """Follows the membership entries of the log, which count as soon as they are in it."""

    def appended(self, index: int, payload: bytes) -> None:
        """The log has one at `index`."""

    def truncated(self, index: int) -> None:
        """The log ends before `index` now."""


class _Sealed(NamedTuple):
    """A segment that is no longer written; it may go when the view starts behind its last index."""

    path: Path
    last_index: int


class Journal:
    """The list of entries that the library indexes by position, on segments of checked frames."""

    def __init__(self, disk: Disk, *, directory: Path, watcher: Watcher) -> None:
        self._disk = disk
        self._directory = directory
        self._watcher = watcher
        self._hard = HardStateFile(disk, directory / "hardstate.titan")
        self._lock: File | None = None
        self._file: File | None = None
        self._path = directory
        self._sealed: list[_Sealed] = []
        self._number = 0
        self._frame = 1
        self._end = 0
        self._allocated = 0
        self._entries: list[Entry] = []
        self._buffer: list[bytes] = []
        self._segment_last = 0  # the highest index that the open segment has seen
        self._replay_next: int | None = None  # while reading: the index the next entry must have
        self._promise: tuple[int, str] | None = None
        self.bytes_in_view = 0
        self.syncs = 0

    # --- life ------------------------------------------------------------------------------

    def open(self) -> None:
        """Lock the directory and read everything back. Raises `Fatal` for damage."""
        self._disk.make_dir(self._directory)
        self._take_lock()
        paths = segment_files.paths_in(self._disk, self._directory)
        self._hard.open(must_exist=bool(paths))
        for path in paths:
            self._read_segment(path, is_last=path == paths[-1])
        if self._file is None:
            self._start_segment()
        self._adopt()
        self.bytes_in_view = sum(len(command) for command, _, _ in self._entries)
        for entry in self._entries:
            self._watch(entry)

    def _adopt(self) -> None:
        """Make durable what was read before relying on it.

        A process that was killed may have left bytes and names that only the page cache knows. This life
        answers from them, so a later power cut must not take them away.
        """
        assert self._file is not None, "not open"
        self._file.datasync()
        self._hard.sync()
        self._disk.fsync_dir(self._directory)

    def close(self) -> None:
        """Make what is buffered durable and let go of the directory."""
        if self._file is not None:
            self.sync()
        self.abandon()

    def abandon(self) -> None:
        """Let go of the files without writing anything more."""
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._hard.close()
        self._file = self._lock = None

    def _take_lock(self) -> None:
        try:
            self._lock = self._disk.lock(self._directory / "lock")
        except OSError as error:
            raise Fatal(
                f"{self._directory} is in use by another process: {error}",
                hint="stop the other master, or give this one its own data directory",
            ) from error

    # --- durability ------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether `sync` has something to do."""
        return bool(self._buffer) or self._promise is not None

    def sync(self) -> None:
        """Make every change so far durable: one write and one sync. Raises `Fatal`, never retries."""
        if not self.is_dirty:
            return
        try:
            self._write_promise()
            self._write_frame()
        except OSError as error:
            raise Fatal(
                f"{self._path}: writing the log failed: {error}",
                hint="check the disk; this member starts again from what is durable",
            ) from error
        self.syncs += 1

    def _write_promise(self) -> None:
        promise, self._promise = self._promise, None
        if promise is not None:
            self._hard.write(term=promise[0], vote=promise[1])

    def _write_frame(self) -> None:
        if not self._buffer:
            return
        frame = segment.encode_frame(b"".join(self._buffer), number=self._frame)
        self._buffer.clear()
        if self._end + len(frame) > limits.SEGMENT_BYTES and self._end > segment.HEADER_BYTES:
            self._seal_segment()
            self._start_segment()
        assert self._file is not None, "not open"
        if self._end + len(frame) > self._allocated:
            step = max(limits.SEGMENT_PREALLOCATE_BYTES, len(frame))
            self._file.allocate(offset=self._allocated, size=step)
            self._allocated += step
        self._file.pwrite(frame, offset=self._end)
        self._file.datasync()
        self._end += len(frame)
        self._frame += 1
        if self._entries:
            self._segment_last = max(self._segment_last, self._entries[-1][1])

    def has_room(self) -> bool:
        """Whether the disk has more than its reserve: below it nothing new is proposed."""
        return self._disk.free_bytes(self._directory) >= limits.DISK_RESERVE_BYTES

    # --- segments --------------------------------------------------------------------------

    def _start_segment(self) -> None:
        self._number += 1
        self._path = segment_files.path_of(
            self._directory, number=self._number, first_frame=self._frame
        )
        self._file = segment_files.create(self._disk, self._path)
        self._end = segment.HEADER_BYTES
        self._allocated = limits.SEGMENT_PREALLOCATE_BYTES
        self._segment_last = 0

    def _seal_segment(self) -> None:
        assert self._file is not None, "not open"
        self._file.close()
        self._file = None
        self._sealed.append(_Sealed(self._path, self._segment_last))

    def _read_segment(self, path: Path, *, is_last: bool) -> None:
        number, first_frame = segment_files.numbers_of(path)
        if self._number and (number, first_frame) != (self._number + 1, self._frame):
            raise segment.damage(str(path), offset=0, what="a gap between segments")
        data = read_whole(self._disk, path)
        scan = segment.scan(
            data, path=str(path), number=number, first_frame=first_frame, is_last=is_last
        )
        self._number, self._frame, self._segment_last = number, scan.next_frame, 0
        for record in scan.records:
            self._replay(record, path=path)
        if not is_last:
            self._sealed.append(_Sealed(path, self._segment_last))
            return
        self._path, self._end, self._allocated = path, scan.end, len(data)
        self._file = self._disk.open(path)
        if scan.is_torn:
            self._cut_torn_end(scan.end)

    def _cut_torn_end(self, end: int) -> None:
        assert self._file is not None, "not open"
        self._file.truncate(end)
        self._file.allocate(offset=end, size=limits.SEGMENT_PREALLOCATE_BYTES)
        self._file.datasync()
        self._allocated = end + limits.SEGMENT_PREALLOCATE_BYTES

    def _replay(self, record: segment.Record, *, path: Path) -> None:
        kind, term, index, payload = record
        expected = self._replay_next
        if kind == segment.RESTART:
            self._entries.clear()
            self._replay_next = None
            return
        if kind == segment.TRUNCATE:
            if expected is not None and index > expected:
                raise segment.damage(str(path), offset=0, what=f"truncation at {index}")
            # It may reach below what is left here: the segments before this one are gone.
            first = self._entries[0][1] if self._entries else index
            del self._entries[max(0, index - first) :]
            self._replay_next = index
            return
        falls_back = bool(self._entries) and term < self._entries[-1][2]
        if falls_back or expected not in (None, index):
            raise segment.damage(str(path), offset=0, what=f"entry {index} of term {term}")
        self._entries.append((payload, index, term))
        self._replay_next = index + 1
        self._segment_last = max(self._segment_last, index)

    def _drop_old_segments(self) -> None:
        # An entry that the view no longer shows is covered by a durable snapshot.
        first = self._entries[0][1]
        while self._sealed and self._sealed[0].last_index < first:
            self._disk.unlink(self._sealed.pop(0).path)

    # --- the snapshot's place in the log ---------------------------------------------------

    def align(self, *, previous: Entry, last: Entry) -> None:
        """Make the view fit a durable snapshot that ends with `last`; entries behind it stay.

        Raises `Fatal` when the log starts only behind the snapshot: what lies between is gone.
        """
        if self._entries and self._entries[0][1] > last[1]:
            raise Fatal(
                f"{self._directory}: the log starts at {self._entries[0][1]}, but the newest "
                f"readable snapshot ends at {last[1]}",
                hint="replace this member with an empty one that has a new member id",
            )
        if self.term_at(last[1]) != last[2]:
            self.restart(previous=previous, last=last)

    def restart(self, *, previous: Entry, last: Entry) -> None:
        """Forget the log and begin anew at a snapshot."""
        self.clear()
        self.add(*previous)
        self.add(*last)

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`, None outside the view."""
        if not self._entries or not self._entries[0][1] <= index <= self._entries[-1][1]:
            return None
        return self._entries[index - self._entries[0][1]][2]

    def trim(self, *, before: int) -> None:
        """Show nothing below `before`, which a durable snapshot covers."""
        self.deleteEntriesTo(before - self._entries[0][1])

    def weight(self, *, entry_bytes: int) -> int:
        """The bytes of all entries, each with so many on top."""
        return self.bytes_in_view + entry_bytes * len(self._entries)

    def last_within(self, bytes_max: int, *, entry_bytes: int) -> int:
        """The index from which on the last entries have at most so much weight together."""
        size = 0
        for command, index, _term in reversed(self._entries):
            size += len(command) + entry_bytes
            if size > bytes_max:
                return index + 1
        return self.first_index

    def batch(self, *, start: int, bytes_max: int) -> list[Entry]:
        """Entries from index `start` on: at least one when there is one, up to the bounds."""
        at = start - self._entries[0][1]
        entries: list[Entry] = []
        size = 0
        for entry in self._entries[at : at + limits.APPEND_BATCH_ENTRIES]:
            size += len(entry[0])
            if entries and size > bytes_max:
                break
            entries.append(entry)
        return entries

    @property
    def first_index(self) -> int:
        """The index of the first entry in view."""
        return self._entries[0][1]

    @property
    def last_index(self) -> int:
        """The index of the last entry."""
        return self._entries[-1][1]

    # --- what the library calls ------------------------------------------------------------

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry; it is durable after `sync`."""
        assert not self._entries or idx == self._entries[-1][1] + 1, "a gap in the log"
        self._entries.append((command, idx, term))
        self._watch(self._entries[-1])
        self.bytes_in_view += len(command)
        self._buffer.append(
            segment.encode_record(segment.Record(segment.ENTRY, term, idx, command))
        )

    def _watch(self, entry: Entry) -> None:
        if entry[0][:1] == CHANGE:
            self._watcher.appended(entry[1], entry[0][1:])

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()
        self._watcher.truncated(0)
        self.bytes_in_view = 0
        self._buffer.append(segment.encode_record(segment.Record(segment.RESTART, 0, 0, b"")))

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803
        """Forget the entries from this position on: a record, nothing is rewritten."""
        assert entryFrom > 0, "the first entry is never truncated"
        if entryFrom >= len(self._entries):
            return
        index = self._entries[entryFrom][1]
        self.bytes_in_view -= sum(len(entry[0]) for entry in self._entries[entryFrom:])
        del self._entries[entryFrom:]
        self._watcher.truncated(index)
        self._buffer.append(segment.encode_record(segment.Record(segment.TRUNCATE, 0, index, b"")))

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        """Let the view begin at this position."""
        if entryTo <= 0:
            return
        assert entryTo < len(self._entries), "the view may not become empty"
        self.bytes_in_view -= sum(len(entry[0]) for entry in self._entries[:entryTo])
        del self._entries[:entryTo]
        self._drop_old_segments()

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        if isinstance(item, slice) and item.stop is None:
            # The library asks for "everything from here" to learn whether anything follows:
            # a bounded answer says the same without copying the whole log.
            item = slice(item.start, item.start + limits.APPEND_BATCH_ENTRIES)
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        self.close()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        """Not stored, see the module's docstring."""

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        """What every member may believe before it hears a leader."""
        return 1

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803
        """Note term and vote; they are durable after `sync`, before any message leaves."""
        self._promise = (term, votedForNodeId or "")

    def getCurrentTerm(self) -> int:  # noqa: N802
        """The term as stored."""
        return self._hard.state.term if self._promise is None else self._promise[0]

    def getVotedForNodeId(self) -> str | None:  # noqa: N802
        """The vote as stored."""
        return (self._hard.state.vote if self._promise is None else self._promise[1]) or None

    def onOneSecondTimer(self) -> None:  # noqa: N802
        """Nothing is done by time here."""
