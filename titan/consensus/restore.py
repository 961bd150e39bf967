"""Makes the directory of a new cluster of one from a backup; nothing of it runs meanwhile.

The state is the backup's, the members are not: the old ones may live on, and must not be dialled.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from titan.consensus.disk import Disk
from titan.consensus.membership import Member, Roster
from titan.consensus.snapshots import DamagedSnapshot, Place, SnapshotFiles
from titan.errors import UserError


def restore(disk: Disk, backup: Path, *, directory: Path, address: str, member_id: str) -> Place:
    """Write the newest state of a new single member into `directory`, which must be empty.

    Raises `UserError` when the backup is damaged or the directory is in use.
    """
    disk.make_dir(directory)
    if disk.names(directory):
        raise UserError(
            f"{directory} is not empty", hint="choose a directory that no master has used"
        )
    copy = directory / "restoring.tmp"
    try:
        shutil.copyfile(backup, copy)
        files = SnapshotFiles(disk, directory=directory)
        place = files.check(copy)
    except (DamagedSnapshot, OSError) as error:
        disk.unlink(copy)
        raise UserError(f"{backup} cannot be used: {error}", hint="use another backup") from error
    alone = Roster((Member(address, member_id),))
    restored = msgspec.structs.replace(place, roster=alone)
    files.write(restored, blocks=files.blocks_behind_place(copy))
    disk.unlink(copy)
    disk.fsync_dir(directory)
    return restored
