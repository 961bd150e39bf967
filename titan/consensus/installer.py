"""The place of snapshots in one member's life: restored at the start, taken, received, installed.

Files are `snapshots.py`, the writing of them is `snapshotter.py`; here machine, log and list of
members are brought to the same index, or not at all.
"""

from __future__ import annotations

from pathlib import Path

from titan.consensus.api import ReplicatedMachine
from titan.consensus.config import RaftConfig
from titan.consensus.journal import Entry, Journal
from titan.consensus.membership import Membership
from titan.consensus.snapshots import Place, SnapshotFiles
from titan.consensus.snapshotter import Snapshotter
from titan.errors import Fatal


class Installer:
    """See the module's docstring."""

    def __init__(
        self,
        machine: ReplicatedMachine,
        *,
        config: RaftConfig,
        journal: Journal,
        members: Membership,
        files: SnapshotFiles,
        snapshotter: Snapshotter,
    ) -> None:
        self._machine = machine
        self._config = config
        self._journal = journal
        self._members = members
        self._files = files
        self._snapshotter = snapshotter
        self._incoming: Place | None = None
        self.log_bytes_max = 0  # a snapshot is due when the log is larger

    def recover(self, place: Place | None) -> None:
        """At the start: the state of the newest snapshot, and a log that fits it. Raises `Fatal`."""
        self._weigh()
        if place is not None:
            self._restore(place)
            self._journal.align(previous=place.previous, last=place.last)
        elif len(self._journal) and self._journal.first_index > 1:
            raise Fatal(
                f"{self._config.data_dir}: the log starts at {self._journal.first_index} and there "
                "is no snapshot",
                hint="replace this member with an empty one that has a new member id",
            )

    def receive(self, serialized: tuple[bytes, bool, bool], *, newer_than: int) -> bool:
        """A piece of the leader's snapshot; True once it is whole, durable and newer."""
        if serialized is None:
            return False
        data, is_first, is_last = serialized
        self._incoming = self._snapshotter.receive(
            data, is_first=is_first, is_last=is_last, newer_than=newer_than
        )
        return self._incoming is not None

    def install(self) -> Place:
        """Replace the state, the members and the log by the snapshot that just became durable."""
        place = self._incoming
        assert place is not None, "nothing to install"
        self._restore(place)
        if place.roster.members:
            self._members.start(place.roster, index=place.index)
        if self._journal.term_at(place.index) != place.last[2]:
            self._journal.restart(previous=place.previous, last=place.last)
        return place

    def _restore(self, place: Place) -> None:
        try:
            self._machine.restore(self._files.state_blocks(place.index))
        except Exception as error:
            raise Fatal(
                f"{self._files.path(place.index)} is intact but is not a state: {error}",
                hint="run the release that wrote it",
            ) from error

    def begin(self, *, previous: Entry, last: Entry) -> None:
        """Take a snapshot that ends with `last`."""
        self._snapshotter.begin(Place(previous, last, self._members.at(last[1])))

    def trim(self, index: int) -> None:
        """Let go of covered entries; a few stay for laggards, as long as they are small."""
        self._weigh()
        kept_from = max(
            self._journal.last_index - self._config.keep_entries,
            self._journal.last_within(
                self.log_bytes_max // 4, entry_bytes=self._config.snapshot_entry_bytes
            ),
        )
        self._journal.trim(before=min(index, kept_from))

    @property
    def is_due(self) -> bool:
        """Whether a restart had better load a snapshot than apply all this log again."""
        entry_bytes = self._config.snapshot_entry_bytes
        return self._journal.weight(entry_bytes=entry_bytes) > self.log_bytes_max

    def _weigh(self) -> None:
        """Half as much log as the newest snapshot has bytes, within bounds.

        Applying a byte of the log again takes longer than loading a byte of a snapshot, and an entry
        costs something whatever its size (docs/scaling.md). So a restart is quick when the log is
        short; and yet a large state is not written again for every few entries.
        """
        newest = self._files.newest_index()
        half = self._files.size(newest) // 2 if newest else 0
        config = self._config
        self.log_bytes_max = min(
            config.snapshot_log_bytes, max(half, config.snapshot_log_bytes_min)
        )

    def newest(self) -> Path | None:
        """The file of the newest snapshot."""
        index = self._files.newest_index()
        return self._files.path(index) if index else None

    def covers(self, snapshot: Path, *, applied_index: int) -> bool:
        """Whether a snapshot holds everything up to an index."""
        return snapshot == self._files.path(applied_index)
