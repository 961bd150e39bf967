"""Hands committed entries to the machine, and compares what comes of it with the other members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from titan.consensus import codec
from titan.consensus.api import ReplicatedMachine
from titan.consensus.codec import Message
from titan.consensus.digests import Digests
from titan.consensus.journal import CHANGE
from titan.consensus.library import NO_OP, REGULAR
from titan.consensus.membership import Membership, Roster, removed
from titan.errors import Fatal


class Applier:
    """The way from the log into the machine of one member."""

    def __init__(
        self,
        machine: ReplicatedMachine,
        *,
        members: Membership,
        member_id: str,
        send: Callable[[str, Message], None],
    ) -> None:
        self._machine = machine
        self._members = members
        self._member_id = member_id
        self._send = send
        self.digests = Digests()

    def apply(self, index: int, command: bytes) -> Any:
        """One committed entry. The machine is total, so an exception here stops the member."""
        kind = command[:1]
        if kind not in (REGULAR, NO_OP, CHANGE):
            raise Fatal(f"entry {index} is of an unknown kind {kind.hex()}", hint="upgrade it")
        if kind == CHANGE:
            self.check_own_place(self._members.at(index))
        return self._apply_payload(index, command[1:]) if kind == REGULAR else index

    def check_own_place(self, committed: Roster) -> None:
        """Raise `Removed` when this member is one no more."""
        if self._member_id in committed.gone:
            raise removed(self._members.address)

    def _apply_payload(self, index: int, payload: bytes) -> Any:
        try:
            return self._machine.apply(index, payload)
        except Fatal:
            raise  # it knows better what to do about it
        except Exception as error:
            raise Fatal(
                f"applying entry {index} raised {type(error).__name__}: {error}",
                hint="every master stops at this entry until a release that can apply it",
            ) from error

    def compare_digests(self, index: int) -> None:
        """At agreed indexes, tell the others what the state is here."""
        if not self.digests.is_due(index):
            return
        digest = self._machine.digest
        self.digests.ours(index, digest)
        for peer in self._members.peers:
            self._send(peer, {"type": codec.DIGEST, "index": index, "digest": digest})
