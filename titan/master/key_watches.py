"""Who follows keys by prefix on this master: each change once and in order, from any log index on.

A watcher is a place in the history of changes (`key_history.py`). One whose place is forgotten gets
everything that is there now instead, between two marks, and finds out itself what is gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from titan.fsm.events import AnyEvent, KeyChanged, StateReplaced
from titan.fsm.queries import KvList, KvView
from titan.fsm.views import read
from titan.limits import LIST_PAGE_MAX
from titan.master.key_history import KeyHistory
from titan.master.replica import Replica
from titan.master.watchers import Admission, Watcher
from titan.wire.channel import Stream
from titan.wire.messages import KeysMark, KeyUpdate, Message, WatchKeys, encode

_encode = msgspec.msgpack.Encoder().encode


class KeyWatches:
    """The watchers of keys."""

    def __init__(self, replica: Replica, admission: Admission) -> None:
        self._replica = replica
        self._admission = admission
        self._history = KeyHistory()
        self._prefixes: dict[Watcher, str] = {}
        self._woken_at = 0  # the number of the change at which all watchers were woken last

    def on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        """An entry was applied, or a snapshot has replaced the state."""
        if any(isinstance(event, StateReplaced) for event in events):
            self._history.begin_at(index)
            for watcher in self._prefixes:
                watcher.wake.set()
            return
        keys = [event.key for event in events if isinstance(event, KeyChanged)]
        if not keys:
            return
        self._history.add(index, keys, self._replica.state)
        for watcher, prefix in self._prefixes.items():
            if any(key.startswith(prefix) for key in keys):
                watcher.wake.set()
        if self._history.is_far_behind(self._woken_at):
            self._woken_at = self._history.next  # or the changes of others push their places out
            for watcher in self._prefixes:
                watcher.wake.set()

    async def serve(self, message: WatchKeys, channel: Stream) -> Message:
        """Serve a `WatchKeys` channel; ends only with the connection."""
        with self._admission.enter() as watcher:
            self._prefixes[watcher] = message.prefix
            try:
                await self._follow(message, channel, watcher)
            finally:
                del self._prefixes[watcher]
        raise AssertionError("a watch of keys has no end")

    async def _follow(self, message: WatchKeys, channel: Stream, watcher: Watcher) -> None:
        history = self._history
        number = history.number_after(message.after) if message.after > 0 else None
        while True:
            changes = None if number is None else history.since(number)
            if number is None or changes is None:
                number = await self._send_everything(message, channel)
                continue
            behind = history.is_far_behind(number)
            index, number = self._replica.state.index, history.next
            for record in changes:
                if record.key.startswith(message.prefix):
                    view = record.view(self._replica.state)
                    await _send(channel, record.key, view, index=record.at_index)
            if behind and message.after >= 0:
                await channel.send(encode(KeysMark(kind="at", index=index)))
            if number == history.next:
                await watcher.next_changes(is_deaf=self._admission.is_deaf)

    async def _send_everything(self, message: WatchKeys, channel: Stream) -> int:
        """What is there now; the number of the first change that may not be in it."""
        number, index = self._history.next, self._replica.state.index
        if message.after >= 0:
            await channel.send(encode(KeysMark(kind="begin", index=index)))
        after = ""
        while True:
            query = KvList(prefix=message.prefix, limit=LIST_PAGE_MAX, after=after)
            page = read(self._replica.state, query)
            for view in page:
                await _send(channel, view.key, view, index=self._replica.state.index)
            if len(page) < LIST_PAGE_MAX:
                break
            after = page[-1].key
        if message.after >= 0:
            await channel.send(encode(KeysMark(kind="end", index=index)))
        return number


async def _send(channel: Stream, key: str, view: KvView | None, *, index: int) -> None:
    await channel.send(encode(KeyUpdate(index=index, key=key, item=_encode(view))))
