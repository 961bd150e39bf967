"""Everything that happened, as one hash: two runs are the same run if and only if theirs are equal."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final, TextIO

_SHOWN: Final = 60  # lines kept for the report of a failure


class Trace:
    """Lines go into the hash; the last notable ones are kept, all go to `sink` when there is one."""

    def __init__(self, *, sink: TextIO | None = None) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._sink = sink
        self.recent: deque[str] = deque(maxlen=_SHOWN)

    def note(self, now_s: float, text: str) -> None:
        """Something that a reader of a failure wants to see."""
        line = f"{now_s:.6f} {text}"
        self.recent.append(line)
        self._add(line)

    def bytes(self, now_s: float, what: str, data: bytes) -> None:
        """Something that only the hash wants: a segment, an entry."""
        self._hash.update(f"{now_s!r} {what} ".encode())
        self._hash.update(data)
        if self._sink is not None:
            self._sink.write(f"{now_s:.6f} {what} {len(data)} bytes {hash(data) & 0xFFFFFF:06x}\n")

    def _add(self, line: str) -> None:
        self._hash.update(line.encode())
        if self._sink is not None:
            self._sink.write(line + "\n")

    @property
    def digest(self) -> str:
        """32 hex digits."""
        return self._hash.hexdigest()
