"""The bootstrap list on disk: who founded the cluster, as this member was told when it was new.

Written once. A restarted member uses what it has learnt and, before that, this file: another list on
the command line must not change a cluster that exists already.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from titan.consensus.config import RaftConfig
from titan.consensus.disk import Disk, read_whole, write_durably
from titan.consensus.membership import Membership, Roster, bootstrap
from titan.consensus.snapshots import Place
from titan.errors import Fatal


class _File(msgspec.Struct, frozen=True):
    format: int
    members: tuple[str, ...]


def start_members(
    members: Membership, *, disk: Disk, config: RaftConfig, place: Place | None
) -> None:
    """Begin with the list of the snapshot, or of the founders; the log's own entries stay."""
    if place is not None and place.roster.members:
        members.start(place.roster, index=place.index)
        return
    path = config.data_dir / "members.json"
    members.start(founders(disk, path, members=config.members), index=0)


def founders(disk: Disk, path: Path, *, members: tuple[str, ...]) -> Roster:
    """The list in the file, which is made from `members` when there is none. Raises `Fatal`."""
    if not disk.exists(path):
        write_durably(disk, path, data=msgspec.json.encode(_File(1, members)))
        return bootstrap(members)
    try:
        return bootstrap(msgspec.json.decode(read_whole(disk, path), type=_File).members)
    except msgspec.MsgspecError as error:
        raise Fatal(
            f"{path} is damaged: {error}", hint="copy it from another member of the cluster"
        ) from error
