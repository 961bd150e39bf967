"""The latest changes of keys on this master, so that a watcher that comes back gets each of them once.

Filled by apply, so every master has the same changes at the same log index; bounded in number and bytes.
Values are kept as they were; of a set only that it changed, because sets may be large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from titan.fsm.queries import KvView
from titan.fsm.state import KvItem, State
from titan.fsm.views import kv_view
from titan.limits import KEY_CHANGES_BYTES_MAX, KEY_CHANGES_KEPT

_RECORD_BYTES = 256  # what a record costs besides its value


class KeyRecord(NamedTuple):
    """A key as one entry of the log left it; `item` None: gone, or a set when `is_set`."""

    at_index: int
    key: str
    item: KvItem | None
    is_set: bool

    def view(self, state: State) -> KvView | None:
        """The key as it was; a set as it is by now."""
        item = state.kv.get(self.key) if self.is_set else self.item
        return None if item is None else kv_view(self.key, item)

    @property
    def size(self) -> int:
        """What keeping it costs, about."""
        return _RECORD_BYTES + (len(self.item.value) if self.item is not None else 0)


class KeyHistory:
    """The changes after `floor`, in order. Each has a number; numbers have no gaps."""

    def __init__(self) -> None:
        self.floor = 0  # every change at a later index is here
        self.next = 0  # the number of the change that comes next
        self._first = 0
        self._records: dict[int, KeyRecord] = {}
        self._bytes = 0

    def begin_at(self, index: int) -> None:
        """Forget everything: the state was replaced."""
        self._records, self._bytes = {}, 0
        self.next += 1  # whoever had read up to here notices that something is missing
        self._first, self.floor = self.next, index

    def add(self, index: int, keys: Iterable[str], state: State) -> None:
        """The entry at `index` has changed these keys."""
        for key in dict.fromkeys(keys):
            item = state.kv.get(key)
            is_set = item is not None and item.members is not None
            kept = None if item is None or is_set else _copy(item)
            record = KeyRecord(index, key, kept, is_set)
            self._records[self.next] = record
            self.next += 1
            self._bytes += record.size
        while len(self._records) > KEY_CHANGES_KEPT or self._bytes > KEY_CHANGES_BYTES_MAX:
            self._drop_first()

    def _drop_first(self) -> None:
        record = self._records.pop(self._first)
        self._first += 1
        self._bytes -= record.size
        self.floor = record.at_index

    def number_after(self, index: int) -> int | None:
        """The number of the first change after `index`; None when some of those are forgotten."""
        if index < self.floor:
            return None
        number = self.next
        while number > self._first and self._records[number - 1].at_index > index:
            number -= 1
        return number

    def since(self, number: int) -> Iterator[KeyRecord] | None:
        """The changes from this number on, as of now; None when some are forgotten."""
        if number < self._first:
            return None
        return iter([self._records[at] for at in range(number, self.next)])

    def is_far_behind(self, number: int) -> bool:
        """Whether a watcher that has read up to here will soon have to read everything anew."""
        return number - self._first < len(self._records) // 2


def _copy(item: KvItem) -> KvItem:
    return KvItem(
        value=item.value, binary=item.binary, version=item.version, expires_ms=item.expires_ms
    )
