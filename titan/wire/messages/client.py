"""Between clients and any master: writes, reads and watches."""

from __future__ import annotations

from typing import Any

from titan.ids import AttemptId, RunId
from titan.wire.messages.base import Message


class Write(Message, frozen=True, kw_only=True, tag="write"):
    """Call → `WriteDone`. One client command; a follower forwards it to the leader.

    `request` numbers the client's writes from 1; a repeat with the same (client, request) has no
    second effect and gets the first answer. Requests below `floor` will never be repeated.
    `attempt` is set by code inside a task: the write is refused once that attempt is superseded.
    """

    client: str
    request: int
    floor: int
    command: bytes  # titan.fsm.commands.encode_command
    attempt: AttemptId = AttemptId(0)


class WriteDone(Message, frozen=True, kw_only=True, tag="write.done"):
    """Committed and applied. `rejected` is "" or the refusal's code with `why` for people."""

    index: int
    value: Any = None
    rejected: str = ""
    why: str = ""


class Read(Message, frozen=True, kw_only=True, tag="read"):
    """Call → `ReadDone`. Linearizable unless `stale`; then this master answers from what it has."""

    query: bytes  # titan.fsm.queries, msgpack
    stale: bool = False


class ReadDone(Message, frozen=True, kw_only=True, tag="read.done"):
    """`value` is the msgpack of the view that the query names; `age_ms` is how long ago this master
    last heard from a leader (0 for linearizable reads)."""

    index: int
    value: bytes
    age_ms: int = 0


class WatchRun(Message, frozen=True, kw_only=True, tag="watch.run"):
    """Channel → `RunUpdate` pieces, the first at once with everything; ends with `Ok` when it is over."""

    run: RunId
    jobs: bool = True  # also tell which jobs changed


class RunUpdate(Message, frozen=True, kw_only=True, tag="run.update"):
    """The run as of `index` and the jobs that changed since the update before (all in the first)."""

    index: int
    run: bytes  # RunView
    jobs: bytes = b""  # list[JobView]


class WatchKeys(Message, frozen=True, kw_only=True, tag="watch.kv"):
    """Channel → `KeyUpdate` pieces for keys with `prefix`: what is there first, then each change."""

    prefix: str


class KeyUpdate(Message, frozen=True, kw_only=True, tag="kv.update"):
    """A key as of `index`; `item` is the msgpack of KvView, or of None once it is gone."""

    index: int
    key: str
    item: bytes
