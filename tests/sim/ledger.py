"""What the masters did, checked while they do it: one log, one leader per term, equal states.

Sees every entry that any master applies and every state that any master restores, so two masters that
differ at one index are found at that index, not at the end (I8, I9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.sim.loop import Life
from tests.sim.witness import Witness
from titan.fsm.commands import AssignAttempt, Entry, decode_entry
from titan.master.replica import AppliedEntry, Replica


class Ledger:
    """The one log as it was committed, and who led when."""

    def __init__(
        self, *, violate: Callable[[str], None], note: Callable[[str, bytes], None]
    ) -> None:
        self.entries: dict[int, bytes] = {}
        self.digests: dict[int, bytes] = {}
        self.leaders: dict[int, str] = {}
        self.newest = 0
        self._first_seen: dict[int, None] = {}
        self._newest_by_term: dict[int, int] = {}  # the term of who applied it first
        self._violate, self._note = violate, note

    def applied(self, life: Life, index: int, payload: bytes, digest: bytes) -> None:
        """A master applied an entry."""
        self._note(f"{life} applied {index}", digest)
        known = self.entries.setdefault(index, payload)
        if known != payload:
            self._violate(f"I9 two entries at index {index}: {life} applied another one")
        elif self.digests.setdefault(index, digest) != digest:
            self._violate(f"I8 {life} differs from the others after index {index}")
        self.newest = max(self.newest, index)

    def committed(self, index: int, *, term: int) -> None:
        """A master in `term` applied an entry: by then at the latest it was committed."""
        if index not in self._first_seen:
            self._first_seen[index] = None
            self._newest_by_term[term] = max(index, self._newest_by_term.get(term, 0))

    def restored(self, life: Life, index: int, digest: bytes) -> None:
        """A master took its state from a snapshot."""
        if index and self.digests.get(index, digest) != digest:
            self._violate(f"I8 {life} restored a different state at index {index}")

    def elected(self, life: Life, *, term: int, last_index: int) -> None:
        """A master became leader."""
        self._note(f"{life} leads term {term}", b"")
        if self.leaders.setdefault(term, life.host) != life.host:
            self._violate(f"I9 two leaders in term {term}: {self.leaders[term]} and {life.host}")
        earlier = [index for seen, index in self._newest_by_term.items() if seen < term]
        if last_index < max(earlier, default=0):
            self._violate(
                f"I9 {life} leads term {term} with a log up to {last_index}; {max(earlier)} was "
                "committed in an earlier term"
            )

    def assignment(self, fence: int, *, run: str, job: str) -> AssignAttempt | None:
        """The committed assignment of a job at the index that is its fence."""
        payload = self.entries.get(fence)
        if payload is None:
            return None
        entry: Entry = decode_entry(payload)
        for proposal in entry.proposals:
            command = proposal.command
            if isinstance(command, AssignAttempt) and (command.run, command.job) == (run, job):
                return command
        return None


def watched_replica(ledger: Ledger, witness: Witness, current: Callable[[], Life]) -> type[Replica]:
    """A replica that tells the ledger everything, and the witness what nobody has applied before."""

    class WatchedReplica(Replica):
        def apply(self, index: int, payload: bytes) -> AppliedEntry:
            entry = super().apply(index, payload)
            is_new = index not in ledger.entries
            ledger.applied(current(), index, payload, self.digest)
            if is_new:
                witness.saw(index, payload, entry.result.outcomes, self.state)
            return entry

        def restore(self, blocks: Iterable[bytes]) -> None:
            super().restore(blocks)
            ledger.restored(current(), self.state.index, self.digest)

    return WatchedReplica


def watched_member(kind: type[Any], ledger: Ledger, current: Callable[[], Life]) -> type[Any]:
    """A consensus replica that tells the ledger when it is elected."""

    class WatchedMember(kind):  # type: ignore[misc]
        def apply(self, index: int, command: bytes) -> None:
            super().apply(index, command)
            ledger.committed(index, term=self.core.term)

        def role_changed(self, role: int) -> None:
            super().role_changed(role)
            if self.core.is_leader:
                log = self.core.log
                ledger.elected(current(), term=self.core.term, last_index=log.last_index)

    return WatchedMember
