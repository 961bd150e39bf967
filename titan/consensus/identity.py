"""Which member lives at which address, remembered on disk: an address alone is no identity.

A member whose disk was wiped comes back with a new member id. It has forgotten its votes, so it
must not take part under its old address until somebody says that this is a new member.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from titan.consensus.disk import Disk, read_whole, write_durably
from titan.errors import AccessDenied, Fatal


class _File(msgspec.Struct, frozen=True):
    format: int
    members: dict[str, str]


class Bindings:
    """Address to member id, learned at the first meeting and kept."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._members: dict[str, str] = {}

    def open(self) -> None:
        """Read what is known. Raises `Fatal` when the file is damaged."""
        if not self._disk.exists(self._path):
            return
        try:
            found = msgspec.json.decode(read_whole(self._disk, self._path), type=_File)
        except msgspec.DecodeError as error:
            raise Fatal(
                f"{self._path} is damaged: {error}",
                hint="compare the member ids of all masters, then remove the file",
            ) from error
        self._members = dict(found.members)

    def check(self, address: str, *, member_id: str) -> None:
        """Learn a new address; raise `AccessDenied` when another member lived there."""
        known = self._members.get(address)
        if known == member_id:
            return
        if known is not None:
            raise AccessDenied(
                f"{address} is the address of member {known}, not of {member_id}",
                hint="its data directory was lost or swapped. Restore it; or replace the member: "
                f"`titan cluster remove {address}`, then start it with an empty directory and --join",
            )
        self._members[address] = member_id
        self._save()

    def known(self, address: str) -> str:
        """The id of the member at an address, "" when none was met there."""
        return self._members.get(address, "")

    def bind(self, address: str, *, member_id: str) -> None:
        """The cluster says who lives at an address."""
        if self._members.get(address) != member_id:
            self._members[address] = member_id
            self._save()

    def forget(self, address: str) -> None:
        """Whoever comes next from `address` is the new member there."""
        if self._members.pop(address, None) is not None:
            self._save()

    def _save(self) -> None:
        data = msgspec.json.encode(_File(1, dict(sorted(self._members.items()))))
        write_durably(self._disk, self._path, data=data)
