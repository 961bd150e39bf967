"""Between clients and any master: writes, reads and watches."""

from __future__ import annotations

from typing import Any

from titan.ids import AttemptId, JobId, RunId
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
    who: str = ""  # what the client says of itself, for the audit


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


class ExplainJob(Message, frozen=True, kw_only=True, tag="job.explain"):
    """Call → `JobExplained`, by the leader, whose planner it asks. Without a run: of the newest one."""

    job: str
    run: RunId = RunId("")


class JobExplained(Message, frozen=True, kw_only=True, tag="job.explained"):
    """`why` is the msgpack of `titan.sched.verdicts.Why`, as of `index`."""

    index: int
    why: bytes


class AskFleet(Message, frozen=True, kw_only=True, tag="fleet.ask"):
    """Call → `FleetSeen`, by the leader: only it hears the workers and plans.

    Not for clusters of version 1: an older master does not know the question.
    """


class FleetSeen(Message, frozen=True, kw_only=True, tag="fleet.seen"):
    """`fleet` is the msgpack of `titan.master.fleet.Fleet`."""

    fleet: bytes


class WatchRun(Message, frozen=True, kw_only=True, tag="watch.run"):
    """Channel → `RunUpdate` pieces, the first at once with everything; ends with `Ok` when it is over."""

    run: RunId
    jobs: bool = True  # also tell which jobs changed
    results: tuple[JobId, ...] = ()  # of these few, how they stand; an older master does not tell


class RunUpdate(Message, frozen=True, kw_only=True, tag="run.update"):
    """The run as of `index` and the jobs that changed since the update before (all in the first)."""

    index: int
    run: bytes  # RunView
    jobs: bytes = b""  # list[JobView]
    results: bytes = (
        b""  # list[ResultView], in the order asked; it may end early, and must be asked then
    )


class WatchKeys(Message, frozen=True, kw_only=True, tag="watch.kv"):
    """Channel → `KeyUpdate` pieces for keys with `prefix`: what is there first, then each change.

    With `after` the master also sends `KeysMark` pieces; if it is more than 0 and the master remembers
    the changes after that log index, it sends those instead of what is there.
    """

    prefix: str
    after: int = -1


class KeyUpdate(Message, frozen=True, kw_only=True, tag="kv.update"):
    """A key as of `index`; `item` is the msgpack of KvView, or of None once it is gone."""

    index: int
    key: str
    item: bytes


class KeysMark(Message, frozen=True, kw_only=True, tag="kv.mark"):
    """Where a watch of keys stands. `kind`: begin (everything that is there follows), end (that was all,
    as of `index`: what was not told is gone), at (every change up to `index` has been told)."""

    kind: str
    index: int


class Follow(Message, frozen=True, kw_only=True, tag="follow"):
    """Channel → `FollowUpdate` pieces: the answer to a question now, and whenever it is another."""

    query: bytes  # KvGet, GetClaim or PeekSignal of titan.fsm.queries, msgpack


class FollowUpdate(Message, frozen=True, kw_only=True, tag="follow.update"):
    """The answer as of `index`, msgpack of the view that the question names."""

    index: int
    value: bytes
