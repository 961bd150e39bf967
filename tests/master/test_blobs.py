"""Blob files are what their digest says, or they are not there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from titan.errors import Conflict, DiskFull, LimitExceeded, NotFound, Unavailable, UserError
from titan.fsm.state import Blob
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


class Elsewhere:
    """Stands where the other masters stand: gives what it has, when it is there."""

    def __init__(self, keeper: BlobKeeper) -> None:
        self._keeper = keeper
        self.is_there = False
        self.asked = asyncio.Event()

    async def fetch(self, digest: Digest) -> None:
        self.asked.set()
        if not self.is_there:
            raise Unavailable("no master could give it")
        await self._keeper.store.write(digest, len(DATA), pieces(DATA))


async def _until_it_holds(keeper: BlobKeeper) -> None:
    async with asyncio.timeout(10):
        while not keeper.store.has(DIGEST):
            await asyncio.sleep(0.005)


def a_snapshot_with_a_blob() -> list[bytes]:
    source = Replica()
    source.state.blobs[DIGEST] = Blob(digest=DIGEST, size=len(DATA), holders=("m:2",))
    return list(source.freeze())


async def test_files_published_before_a_snapshot_are_fetched_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced master holds every file, or the next replacement would lose the last copy."""
    monkeypatch.setattr(blobs, "FETCH_AGAIN_S", 0.01)
    replica, nobody = Replica(), cast(Any, None)
    keeper = BlobKeeper(BlobStore(tmp_path / "blobs"), replica, nobody, nobody, address="m:1")
    elsewhere = Elsewhere(keeper)
    keeper.fetch = elsewhere.fetch  # type: ignore[method-assign]
    running = asyncio.create_task(keeper.run(), name="blobs")
    try:
        await asyncio.sleep(0)  # it has looked once, at an empty state
        replica.restore(a_snapshot_with_a_blob())
        await asyncio.wait_for(elsewhere.asked.wait(), 10)
        elsewhere.is_there = True  # and it asks again
        await _until_it_holds(keeper)
    finally:
        running.cancel()
        await asyncio.wait([running])
