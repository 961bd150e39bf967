"""Who the members are: from the newest membership entry of the log, committed or not.

After Ongaro's dissertation, chapter 4: one member is added or removed at a time, and an entry counts
from the moment it is in the log, so that two consecutive majorities always share a member. A new
member first learns (it is sent the log and counts for nothing) and is promoted by the leader once it
has caught up. Without an entry the snapshot's list counts, and before the first the bootstrap list.
Owns the rules of a change; never appends anything itself.
"""

from __future__ import annotations

from typing import Final

import msgspec

from titan.errors import Conflict, Fatal

REMOVED_REASON: Final = "member_removed"  # stable code of the refusal that a removed member gets
_TOMBSTONES_MAX: Final = 256  # removed member ids remembered; an older one is merely unknown


class Removed(Fatal):
    """This master was removed from its cluster and must not serve any more."""

    code = "removed"
    exit_code = 78  # a supervisor should not start it again


def removed(address: str) -> Removed:
    """The end of a member that was removed."""
    return Removed(
        f"{address} was removed from the cluster",
        hint="to bring it back, start it with an empty data directory and --join",
    )


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One master. `id` is "" for a member of the bootstrap list: the first one met there is it."""

    address: str
    id: str = ""
    is_voter: bool = True


class Roster(msgspec.Struct, frozen=True, array_like=True):
    """All members at one point of the log, and the ids that may never come back."""

    members: tuple[Member, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def voters(self) -> tuple[str, ...]:
        """Addresses whose votes and answers count."""
        return tuple(member.address for member in self.members if member.is_voter)

    @property
    def learners(self) -> tuple[str, ...]:
        """Addresses that are sent the log and count for nothing."""
        return tuple(member.address for member in self.members if not member.is_voter)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Everybody."""
        return tuple(member.address for member in self.members)

    def find(self, address: str) -> Member | None:
        """The member at `address`."""
        return next((member for member in self.members if member.address == address), None)

    def is_majority(self, count: int) -> bool:
        """Whether `count` voters are more than half of them."""
        return 2 * count > len(self.voters)

    def with_learner(self, address: str, *, member_id: str) -> Roster:
        """A newcomer. Raises `Conflict` when it cannot be one."""
        if self.find(address) is not None:
            raise Conflict(
                f"{address} is a member already",
                reason="member_exists",
                hint=f"a lost disk is replaced by `titan cluster remove {address}` and then add",
            )
        if member_id in self.gone:
            raise Conflict(
                f"the member {member_id} at {address} was removed",
                reason=REMOVED_REASON,
                hint="start it with an empty data directory and --join",
            )
        return Roster(_sorted(*self.members, Member(address, member_id, False)), self.gone)

    def with_voter(self, address: str) -> Roster:
        """A learner that counts from now on."""
        member = self.find(address)
        assert member is not None, f"{address} does not learn"
        others = [each for each in self.members if each.address != address]
        return Roster(_sorted(*others, Member(address, member.id)), self.gone)

    def without(self, address: str, *, member_id: str) -> Roster:
        """One member less; its id never comes back. Raises `Conflict`."""
        member = self.find(address)
        if member is None:
            raise Conflict(f"{address} is not a member", reason="member_unknown")
        if self.voters == (address,):
            raise Conflict(f"{address} is the only voter", reason="last_member")
        gone = member.id or member_id
        others = (each for each in self.members if each.address != address)
        return Roster(_sorted(*others), (*self.gone, *([gone] if gone else []))[-_TOMBSTONES_MAX:])


def _sorted(*members: Member) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda member: member.address))


def bootstrap(addresses: tuple[str, ...]) -> Roster:
    """The first members of a new cluster; none for a member that waits to be added."""
    return Roster(_sorted(*(Member(address) for address in addresses)))


_decoder = msgspec.msgpack.Decoder(Roster)
_encode = msgspec.msgpack.Encoder().encode


def encode(roster: Roster) -> bytes:
    """The bytes of a roster, for an entry or a snapshot."""
    return _encode(roster)


def decode(data: bytes) -> Roster:
    """The roster in `data`. Raises `Fatal`: a member that cannot read it does not know its peers."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise Fatal(
            f"a list of members cannot be read: {error}", hint="run the newest release"
        ) from error


class _Parts:
    """What one member asks of a roster many times a round, taken from it once."""

    __slots__ = ("is_voter", "peers", "roster", "voters", "voting_peers")

    def __init__(self, roster: Roster, address: str) -> None:
        self.roster = roster
        self.voters = roster.voters
        self.peers = tuple(each for each in roster.addresses if each != address)
        self.voting_peers = tuple(each for each in self.voters if each != address)
        self.is_voter = address in self.voters


class Membership:
    """The roster of one member, as its log changes."""

    def __init__(self, *, address: str) -> None:
        self.address = address
        self._base = (0, Roster())
        self._entries: list[tuple[int, Roster]] = []
        self._parts = _Parts(Roster(), address)

    # --- reading ---------------------------------------------------------------------------

    @property
    def roster(self) -> Roster:
        """What counts now: the newest, whether it is committed or not."""
        return self._entries[-1][1] if self._entries else self._base[1]

    @property
    def index(self) -> int:
        """Where in the log the newest stands."""
        return self._entries[-1][0] if self._entries else self._base[0]

    def at(self, index: int) -> Roster:
        """The roster that an entry at `index` was appended under."""
        found = self._base[1]
        for place, roster in self._entries:
            if place > index:
                break
            found = roster
        return found

    @property
    def voters(self) -> tuple[str, ...]:
        """Addresses that count."""
        return self._parts_now.voters

    @property
    def peers(self) -> tuple[str, ...]:
        """The other members, sorted: nothing here may depend on the order of a set."""
        return self._parts_now.peers

    @property
    def voting_peers(self) -> tuple[str, ...]:
        """The others that count."""
        return self._parts_now.voting_peers

    @property
    def is_voter(self) -> bool:
        """Whether this member counts."""
        return self._parts_now.is_voter

    def is_majority(self, count: int) -> bool:
        """Whether `count` voters are more than half of them."""
        return 2 * count > len(self._parts_now.voters)

    @property
    def _parts_now(self) -> _Parts:
        parts, roster = self._parts, self.roster
        if parts.roster is not roster:
            parts = self._parts = _Parts(roster, self.address)
        return parts

    # --- following the log -----------------------------------------------------------------

    def start(self, roster: Roster, *, index: int) -> None:
        """Begin from a snapshot's list, or from the bootstrap list; later entries stay."""
        self._base = (index, roster)
        self._entries = [entry for entry in self._entries if entry[0] > index]

    def appended(self, index: int, payload: bytes) -> None:
        """A membership entry is in the log now."""
        self._entries.append((index, decode(payload)))

    def truncated(self, index: int) -> None:
        """The log ends before `index` now: the roster before counts again."""
        while self._entries and self._entries[-1][0] >= index:
            self._entries.pop()
