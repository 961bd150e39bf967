"""Who this master is, kept in its data directory: member id, address, and the cluster it belongs to.

A directory made by another member is refused: a log that changed hands could vote twice.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from titan.errors import Fatal, UserError
from titan.ids import MasterId, new_master_id

_FILE = "identity.json"
_WORKER_FILE = "worker-id"  # of titan.exec: what tells that a directory is a worker's


class Identity(msgspec.Struct, kw_only=True):
    """The content of `identity.json`."""

    member_id: MasterId
    address: str
    cluster_id: str = ""  # "" until the first leader has named the cluster


def load_identity(data_dir: Path, *, address: str) -> Identity:
    """The identity in `data_dir`, or a fresh one when the directory is new.

    A fresh one is not saved yet: nothing is claimed before the address is known to be free. Raises
    `UserError` when the directory belongs to a master with another address or to a worker.
    """
    path = data_dir / _FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if (data_dir / _WORKER_FILE).exists():
            raise UserError(
                f"{data_dir} belongs to a worker", hint="give the master a directory of its own"
            )
        identity = msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        identity = Identity(member_id=new_master_id(), address=address)
    except OSError as error:
        raise UserError(f"cannot use the data directory {data_dir}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise Fatal(
            f"{path} is damaged: {error}",
            hint="restore it from a backup; do not start this member with an empty directory",
        ) from None
    if identity.address != address:
        raise UserError(
            f"{data_dir} belongs to the master {identity.address}, not to {address}",
            hint="give every master a data directory of its own, or start it with its old address",
        )
    return identity


def save_identity(data_dir: Path, identity: Identity) -> None:
    """Write it durably."""
    part = data_dir / f"{_FILE}.part"
    with part.open("wb") as file:
        file.write(msgspec.json.encode(identity))
        file.flush()
        os.fsync(file.fileno())
    part.replace(data_dir / _FILE)
    folder = os.open(data_dir, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
