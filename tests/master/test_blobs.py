"""Blob files are what their digest says, or they are not there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from titan.errors import Conflict, DiskFull, LimitExceeded, NotFound, UserError
from titan.ids import Digest
from titan.master import blobs
from titan.master.blobs import BlobKeeper, BlobStore
from titan.master.replica import Replica
from titan.wire.messages import GetBlob

DATA = bytes(range(256)) * 3000
DIGEST = Digest(hashlib.sha256(DATA).hexdigest())


async def pieces(data: bytes, *, size: int = 10_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read_all(store: BlobStore, *, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.read(DIGEST, offset=offset)])


async def test_a_blob_reads_back_whole_and_from_an_offset(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    await store.write(DIGEST, len(DATA), pieces(DATA))
    assert await read_all(store) == DATA
    assert await read_all(store, offset=700_000) == DATA[700_000:]


@pytest.mark.parametrize("sent", [DATA[:-1], DATA[:-1] + b"!", b""])
async def test_bytes_that_do_not_match_leave_nothing_behind(tmp_path: Path, sent: bytes) -> None:
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(Conflict, match="does not match"):
        await store.write(DIGEST, len(DATA), pieces(sent))
    assert not store.has(DIGEST)
    assert list((tmp_path / "blobs").rglob("*")) == []


async def test_an_upload_larger_than_announced_is_cut(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded):
        await BlobStore(tmp_path / "blobs").write(DIGEST, 10, pieces(DATA))


async def test_a_missing_blob_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await read_all(BlobStore(tmp_path / "blobs"))


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "", "ab"])
def test_only_digests_name_files(tmp_path: Path, digest: str) -> None:
    with pytest.raises(UserError, match="not a digest"):
        BlobStore(tmp_path / "blobs").path(Digest(digest))


async def test_a_full_disk_refuses_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlobStore(tmp_path / "blobs")
    monkeypatch.setattr(blobs, "DISK_RESERVE_BYTES", 2**62)
    with pytest.raises(DiskFull):
        await store.write(DIGEST, len(DATA), pieces(DATA))
    assert list((tmp_path / "blobs").iterdir()) == []


async def test_leftovers_of_a_killed_upload_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    folder.mkdir()
    (folder / "x.part").write_bytes(b"half")
    BlobStore(folder)
    assert list(folder.iterdir()) == []


async def test_a_master_that_lacks_a_blob_does_not_fetch_it_for_another(tmp_path: Path) -> None:
    nobody = cast(Any, None)
    store = BlobStore(tmp_path / "blobs")
    keeper = BlobKeeper(store, Replica(), nobody, nobody, address="m:1")
    keeper.fetch = nobody  # type: ignore[method-assign]
    with pytest.raises(NotFound, match="does not hold"):
        await keeper.get(GetBlob(digest=DIGEST), nobody, may_fetch=False)
