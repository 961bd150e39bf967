"""Ways to break the product on purpose: a simulation that does not notice them proves nothing.

Each takes one protection away in the process that is about to simulate. `python -m tests.sim --break NAME`
must find violations; `test_breaks.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

import titan.consensus.segment
import titan.consensus.snapshots
import titan.exec.worker
import titan.fsm.effects
import titan.fsm.kv
import titan.fsm.locks
import titan.fsm.settling
import titan.master.reigns
from tests.sim.disk import HostDisk
from titan.exec.core import WorkerCore
from titan.fsm.commands import AcquireLock, CommitEffects, decode_client_command
from titan.fsm.handling import HANDLERS, Stamp, Turn
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.records.locks import Lock
from titan.fsm.state import State
from titan.master.blobs import BlobKeeper
from titan.master.clock import LeaderClock
from titan.master.gateway import Gateway
from titan.master.members import Joining
from titan.master.proposer import Proposer, Settled
from titan.master.reign import Reign
from titan.master.replica import Replica
from titan.master.sessions import Sessions


def no_sync() -> None:
    """Disks that lie about having written."""
    made = HostDisk.__init__

    def init(self: HostDisk, *given: Any) -> None:
        made(self, *given)
        self.honours_sync = False

    HostDisk.__init__ = init  # type: ignore[method-assign]


def stale_reads() -> None:
    """Reads that do not ask a majority, at any master."""

    class Confirmed:
        def __init__(self, raft: Any) -> None:
            self._raft = raft

        def __getattr__(self, name: str) -> Any:
            return getattr(self._raft, name)

        async def read_index(self, *, timeout_s: float) -> int:
            return 0

    made = Gateway.__init__

    def init(self: Gateway, **parts: Any) -> None:
        made(self, **{**parts, "raft": Confirmed(parts["raft"])})

    Gateway.__init__ = init  # type: ignore[method-assign]


def early_answers() -> None:
    """Writes that are answered before they are committed."""

    def submit_encoded(self: Proposer, command: Any, **given: Any) -> Any:
        answer = honest(self, command, **given)
        if isinstance(decode_client_command(command), AcquireLock | CommitEffects):
            return answer  # nobody can invent what these answer
        early = self._loop.create_future()
        early.set_result(Settled(0, Applied(0)))
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        return early

    honest = Proposer.submit_encoded
    Proposer.submit_encoded = submit_encoded  # type: ignore[method-assign]


def masters_differ() -> None:
    """A master whose state depends on how often it was started."""
    honest = Replica.apply
    made: list[Replica] = []

    def apply(self: Replica, index: int, payload: bytes) -> Any:
        if self not in made:
            made.append(self)
        entry = honest(self, index, payload)
        if made.index(self) == 2 and index == 30:
            self.state.digest = bytes(32)
        return entry

    Replica.apply = apply  # type: ignore[method-assign]


def runs_again() -> None:
    """A worker that starts whatever it is told to, as often as it is told."""
    WorkerCore._is_known = lambda self, attempt: attempt in self._queue  # type: ignore[method-assign]
    WorkerCore.holds = lambda self: ()  # type: ignore[method-assign]


def results_once() -> None:
    """A worker that reports a result once, whether or not it was heard."""

    def on_registered(self: Any, registered: Any) -> None:
        self._feed(registered)

    titan.exec.worker.Worker.on_registered = on_registered  # type: ignore[method-assign]


def foreign_dispatch() -> None:
    """A leader that sends out what later leaders assign."""
    honest = Reign.on_applied

    def on_applied(self: Reign, index: int, events: Any) -> None:
        own, self.epoch = self.epoch, self.state.epoch
        try:
            honest(self, index, events)
        finally:
            self.epoch = own

    Reign.on_applied = on_applied  # type: ignore[method-assign]


def wall_clock() -> None:
    """Leaders that stamp entries with whatever their wall clock says."""
    LeaderClock.now_ms = lambda self: self._wall_ms()  # type: ignore[method-assign]


def no_insistence() -> None:
    """Leaders that drop a result when the log does not take it."""
    honest = Sessions._insist

    def insist(self: Sessions, session: Any, command: Any, **given: Any) -> None:
        if not getattr(session, "_insisted", {}).get(command):
            session.__dict__.setdefault("_insisted", {})[command] = True
            honest(self, session, command, **given)

    Sessions._insist = insist  # type: ignore[method-assign]


def no_pause() -> None:
    """Leaders that begin a reign that cannot begin again at once."""
    titan.master.reigns.PAUSE_S = 0  # type: ignore[misc]


def blind_checksums() -> None:
    """Logs and snapshots that are believed whatever their checksums say."""

    class Blind:
        sha256 = _Sum

        @staticmethod
        def crc32(_data: bytes) -> int:
            return 0

    titan.consensus.segment.zlib = Blind()  # type: ignore[assignment]
    titan.consensus.snapshots.zlib = Blind()  # type: ignore[assignment]
    titan.consensus.snapshots.hashlib = Blind()  # type: ignore[assignment]


class _Sum:
    """The same of everything."""

    def update(self, data: bytes) -> None:
        pass

    def digest(self) -> bytes:
        return bytes(32)


def uncommitted_members() -> None:
    """Newcomers that take it for done when a leader has only begun to let them in."""

    def is_over(self: Joining) -> bool:
        status = self._raft.status
        return self._address in (*status.voters, *status.learners)

    Joining.is_over = property(is_over)  # type: ignore[method-assign, assignment]


def files_once() -> None:
    """Masters that fetch a file when they hear of it, and never again."""
    BlobKeeper._want_everything = lambda self: None  # type: ignore[method-assign]


def unfenced_writes() -> None:
    """Writes under a lock that has passed to somebody else."""
    for module in (titan.fsm.kv, titan.fsm.effects):
        module.why_not_held = lambda _state, _name, _token: None  # type: ignore[attr-defined]


def crowded_locks() -> None:
    """Locks that whoever waits for them gets, whoever else holds them."""
    honest = titan.fsm.locks._grant

    def grant(turn: Turn, lock: Lock) -> None:
        slots, lock.slots = lock.slots, len(lock.holders) + len(lock.waiters)
        honest(turn, lock)
        lock.slots = slots

    titan.fsm.locks._grant = grant


def repeated_tokens() -> None:
    """Locks whose tokens do not grow."""
    honest = titan.fsm.locks._grant

    def grant(turn: Turn, lock: Lock) -> None:
        waiting = list(lock.waiters.values())
        honest(turn, lock)
        for claim in waiting:
            claim.token = min(claim.token, 1)

    titan.fsm.locks._grant = grant


def partial_commits() -> None:
    """Commits that do what they can until one effect is refused."""
    honest = HANDLERS[CommitEffects]

    def commit(state: State, cmd: CommitEffects, at: Stamp) -> Outcome:
        for count in range(len(cmd.effects), 0, -1):
            part = msgspec.structs.replace(cmd, effects=cmd.effects[:count])
            outcome = honest(state, part, at)
            if isinstance(outcome, Applied):
                return outcome if count == len(cmd.effects) else Rejected("cas_failed", "in part")
        return honest(state, cmd, at)

    HANDLERS[CommitEffects] = commit


def unfenced_commits() -> None:
    """Effects of attempts that have ended or were superseded."""
    titan.fsm.settling.why_not_live = lambda _state, _attempt: None


BREAKS: Final[dict[str, Callable[[], None]]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        no_sync,
        stale_reads,
        early_answers,
        masters_differ,
        runs_again,
        results_once,
        foreign_dispatch,
        wall_clock,
        no_insistence,
        no_pause,
        blind_checksums,
        uncommitted_members,
        files_once,
        unfenced_writes,
        crowded_locks,
        repeated_tokens,
        partial_commits,
        unfenced_commits,
    )
}

# What needs a coincidence of faults that seeds do not often draw has a choice of its own: without
# other faults between, the coincidence comes in nearly every seed.
FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "blind-checksums": ("flip_bit", "kill_master"),
    "foreign-dispatch": ("estrange_leader",),
    "wall-clock": ("jump_clock", "kill_leader"),
    "no-pause": ("full_disk",),
}

# What needs a sequence that no draw of faults makes in time: these tests make it, and go red.
DIRECTED: Final[dict[str, str]] = {
    "no-insistence": "tests/master/test_reign.py",
    "uncommitted-members": "tests/master/test_members.py",
}
