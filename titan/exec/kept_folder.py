"""A folder of things by digest that may take so many bytes: which of them goes when there are too many.

Owns the table of what is there, not the things: whoever keeps them puts them into the folder, says so, and
removes what `evict` names. What somebody uses stays, even when it alone is too much.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from titan.ids import Digest


@dataclass(slots=True)
class _Entry:
    size_bytes: int
    users: int = 0


class KeptFolder:
    """The entries of a folder, which is made when it is missing."""

    def __init__(self, root: Path, *, bytes_max: int) -> None:
        self.root = root
        self._bytes_max = bytes_max
        self._entries: OrderedDict[Digest, _Entry] = OrderedDict()  # least recently used first
        self._size_bytes = 0
        root.mkdir(parents=True, exist_ok=True)

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._entries

    def path(self, digest: Digest) -> Path:
        """Where an entry is, or belongs."""
        return self.root / digest

    def size_of(self, digest: Digest) -> int:
        """What an entry takes, at least 1; 0 when it is not here."""
        entry = self._entries.get(digest)
        return 0 if entry is None else max(entry.size_bytes, 1)

    @property
    def size_bytes(self) -> int:
        """What all entries take."""
        return self._size_bytes

    def add(self, digest: Digest, *, size_bytes: int) -> None:
        """It is in the folder now, and was used last. Again: it has another size; its users stay."""
        entry = self._entries.get(digest)
        if entry is None:
            self._entries[digest] = _Entry(size_bytes)
            self._size_bytes += size_bytes
            return
        self._size_bytes += size_bytes - entry.size_bytes
        entry.size_bytes = size_bytes
        self._entries.move_to_end(digest)

    def drop(self, digest: Digest) -> None:
        """It is no longer in the folder, or not as it should be. Whoever uses it is on its own."""
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self._size_bytes -= entry.size_bytes

    @contextlib.contextmanager
    def in_use(self, digest: Digest) -> Iterator[Path]:
        """Its path; it is not evicted while the context lasts. Raises `KeyError` when it is not there."""
        entry = self._entries[digest]
        self._entries.move_to_end(digest)
        entry.users += 1
        try:
            yield self.path(digest)
        finally:
            entry.users -= 1

    def evict(self, *, more_bytes: int = 0) -> Iterator[Digest]:
        """Make room, also for `more_bytes` that are to come: drop what nobody uses, least recently used
        first, and name each before the next is chosen. The folder may change in between."""
        while self._size_bytes + more_bytes > self._bytes_max:
            idle = (digest for digest, entry in self._entries.items() if entry.users == 0)
            oldest = next(idle, None)
            if oldest is None:
                return
            self.drop(oldest)
            yield oldest
