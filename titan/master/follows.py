"""Who follows the answer to one question on this master: told at once, and whenever it is another.

For whoever waits for one thing: a key, a claim of a lock, a signal. Quick changes may be told as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from titan.errors import UserError
from titan.fsm.events import AnyEvent, KeyChanged, LockChanged, MailChanged, StateReplaced
from titan.fsm.queries import GetClaim, KvGet, PeekSignal, decode_query
from titan.fsm.queries.base import Query
from titan.fsm.views import read
from titan.master.replica import Replica
from titan.master.watchers import Admission, Watcher
from titan.wire.channel import Stream
from titan.wire.messages import Follow, FollowUpdate, Message, encode

Topic = tuple[str, str]
_encode = msgspec.msgpack.Encoder().encode


class Follows:
    """The followers of answers."""

    def __init__(self, replica: Replica, admission: Admission) -> None:
        self._replica = replica
        self._admission = admission
        self._topics: dict[Topic, dict[Watcher, None]] = {}

    def on_applied(self, events: Sequence[AnyEvent]) -> None:
        """An entry was applied, or a snapshot has replaced the state."""
        if not self._topics:
            return
        if any(isinstance(event, StateReplaced) for event in events):
            for watchers in self._topics.values():
                for watcher in watchers:
                    watcher.wake.set()
        for topic in _topics_of(events):
            for watcher in self._topics.get(topic, ()):
                watcher.wake.set()

    async def serve(self, message: Follow, channel: Stream) -> Message:
        """Serve a `Follow` channel; ends only with the connection."""
        query = _decoded(message.query)
        topics = _topics_of_query(query)
        with self._admission.enter() as watcher:
            for topic in topics:
                self._topics.setdefault(topic, {})[watcher] = None
            try:
                await self._follow(query, channel, watcher)
            finally:
                for topic in topics:
                    del self._topics[topic][watcher]
                    if not self._topics[topic]:
                        del self._topics[topic]
        raise AssertionError("a follower is told for ever")

    async def _follow(self, query: Query, channel: Stream, watcher: Watcher) -> None:
        told: bytes | None = None
        while True:
            state = self._replica.state
            answer = _encode(read(state, query))
            if answer != told:
                told = answer
                await channel.send(encode(FollowUpdate(index=state.index, value=answer)))
            await watcher.next_changes(is_deaf=self._admission.is_deaf)


def _topics_of(events: Sequence[AnyEvent]) -> Iterator[Topic]:
    for event in events:
        if isinstance(event, KeyChanged):
            yield "key", event.key
        elif isinstance(event, LockChanged):
            yield "claim", event.claim  # not the lock: thousands may wait for it
        elif isinstance(event, MailChanged):
            yield "mail", f"{event.run}/{event.job}"


def _topics_of_query(query: Query) -> tuple[Topic, ...]:
    match query:
        case KvGet():
            return (("key", query.key),)
        case GetClaim():
            return (("claim", query.claim),)
        case PeekSignal():
            return (("mail", f"{query.run}/"), ("mail", f"{query.run}/{query.job}"))
    raise UserError(f"the answer to {type(query).__name__} cannot be followed")


def _decoded(data: bytes) -> Query:
    try:
        return decode_query(data)
    except msgspec.DecodeError as error:
        raise UserError(f"not a question this master knows: {error}") from None
