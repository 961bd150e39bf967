"""Following keys through failovers: what a client has been told, and from where it goes on.

Sans IO. A master sends each change once and in order; after a break the watch resumes after the last log
index of which everything was told. When the new master no longer remembers that far back it sends what
is there between two marks, and the difference to what was told is found here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from titan.fsm.queries import KvView
from titan.wire.messages import KeysMark, KeyUpdate, Message, WatchKeys


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key as of `index`; `item` is None once it is gone."""

    key: str
    item: KvView | None
    index: int


class KeysTold:
    """What one watch of keys has told."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._versions: dict[str, int] = {}  # of the keys that are there, as told
        self._complete = 0  # every change up to this index was told
        self._latest = 0  # of the last update; others at the same index may be on their way
        self._listed: dict[str, None] | None = None  # keys seen since a `begin`

    def request(self) -> Message:
        """How to ask a master, at first and after a break."""
        self._listed = None
        return WatchKeys(prefix=self._prefix, after=self._complete)

    def take(self, message: Message) -> Iterator[KeyChange]:
        """The changes that a piece from a master tells."""
        if isinstance(message, KeysMark):
            yield from self._mark(message)
        elif isinstance(message, KeyUpdate):
            yield from self._update(message)

    def _update(self, update: KeyUpdate) -> Iterator[KeyChange]:
        item = msgspec.msgpack.decode(update.item, type=KvView | None)
        if self._listed is not None:
            self._listed[update.key] = None
        elif update.index > self._latest:
            self._complete = max(self._complete, self._latest)
            self._latest = update.index
        known = self._versions.get(update.key, 0)
        if item is None:
            if 0 < known <= update.index:
                del self._versions[update.key]
                yield KeyChange(update.key, None, update.index)
        elif item.version > known and (known or item.version > self._complete):
            self._versions[update.key] = item.version
            yield KeyChange(update.key, item, item.version)

    def _mark(self, mark: KeysMark) -> Iterator[KeyChange]:
        if mark.kind == "begin":
            self._listed = {}
            return
        if mark.kind == "end" and self._listed is not None:
            listed, self._listed = self._listed, None
            for key in [key for key in self._versions if key not in listed]:
                del self._versions[key]
                yield KeyChange(key, None, mark.index)
        self._complete = max(self._complete, mark.index)
        self._latest = max(self._latest, mark.index)
