"""Blob files are what their digest says, or they are not there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from titan.errors import (
    Conflict,
    ConnectionLost,
    DiskFull,
    LimitExceeded,
    NotFound,
    Unavailable,
    UserError,
)
from titan.fsm.state import Blob
from titan.ids import Digest
from titan.master import blob_store, blobs
from titan.master import uploads as uploads_module
from titan.master.blob_store import BlobDamaged, BlobStore
from titan.master.blobs import BlobKeeper
from titan.master.replica import Replica
from titan.master.uploads import Uploads
from titan.wire.messages import GetBlob

DATA = bytes(range(256)) * 9001
DIGEST = Digest(hashlib.sha256(DATA).hexdigest())


async def pieces(data: bytes, *, size: int = 10_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def cut(data: bytes) -> AsyncIterator[bytes]:
    async for piece in pieces(data):
        yield piece
    raise ConnectionLost


async def read_all(store: BlobStore, *, offset: int = 0, length: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.read(DIGEST, offset=offset, length=length)])


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_blob_reads_back_whole_and_from_an_offset(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    await Uploads(store).receive(DIGEST, len(DATA), pieces(DATA))
    assert await read_all(store) == DATA
    assert await read_all(store, offset=1_700_000) == DATA[1_700_000:]
    assert await read_all(store, offset=1_000_000, length=100_000) == DATA[1_000_000:1_100_000]


@pytest.mark.parametrize("sent", [DATA[:-1], DATA[:-1] + b"!", b""])
async def test_bytes_that_do_not_match_leave_nothing_behind(tmp_path: Path, sent: bytes) -> None:
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(Conflict, match="does not match"):
        await Uploads(store).receive(DIGEST, len(DATA), pieces(sent))
    assert not store.has(DIGEST)
    assert files_of(tmp_path / "blobs") == []


async def test_an_upload_larger_than_announced_is_cut(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded):
        await Uploads(BlobStore(tmp_path / "blobs")).receive(DIGEST, 10, pieces(DATA))


async def test_an_upload_goes_on_where_it_was_cut_off_also_after_a_restart(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(ConnectionLost):
        await Uploads(store).receive(DIGEST, len(DATA), cut(DATA[:1_234_567]))
    again = Uploads(BlobStore(tmp_path / "blobs"))
    assert again.offset(DIGEST) == 1_234_567
    with pytest.raises(Conflict) as refused:
        await again.receive(DIGEST, len(DATA), pieces(DATA[1_500_000:]), offset=1_500_000)
    assert refused.value.reason == "offset_mismatch"
    await again.receive(DIGEST, len(DATA), pieces(DATA[1_200_000:]), offset=1_200_000)
    assert await read_all(store) == DATA


async def test_a_second_sender_waits_for_the_first_and_has_nothing_to_send(tmp_path: Path) -> None:
    uploads = Uploads(BlobStore(tmp_path / "blobs"))

    async def nothing() -> AsyncIterator[bytes]:
        raise AssertionError("nobody asked for it")
        yield b""

    first = asyncio.create_task(uploads.receive(DIGEST, len(DATA), pieces(DATA)))
    await asyncio.sleep(0)
    assert uploads.is_receiving(DIGEST)
    await uploads.receive(DIGEST, len(DATA), nothing())
    await first
    assert not uploads.is_receiving(DIGEST)


async def test_parts_that_nobody_sends_to_are_bounded_in_number_and_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "PARTIALS_MAX", 2)
    store = BlobStore(tmp_path / "blobs")
    uploads = Uploads(store)
    for number in range(5):
        part = store.partials / f"{number:064x}"
        part.write_bytes(b"x")
        os.utime(part, (time.time() - 100 * number, time.time() - 100 * number))
    ancient = store.partials / f"{9:064x}"
    ancient.write_bytes(b"x")
    os.utime(ancient, (1, 1))
    await uploads.receive(DIGEST, len(DATA), pieces(DATA))
    assert sorted(int(path.name, 16) for path in store.partials.iterdir()) == [0, 1]


async def test_a_flipped_byte_is_never_served_and_the_file_is_put_aside(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    await Uploads(store).receive(DIGEST, len(DATA), pieces(DATA))
    flip(store.path(DIGEST), at=1_500_000)
    got = b""
    with pytest.raises(BlobDamaged):  # noqa: PT012 - what came before matters
        async for chunk in store.read(DIGEST):
            got += chunk
    assert got == DATA[: len(got)]
    assert len(got) == 1024 * 1024
    assert not store.has(DIGEST)
    assert (tmp_path / "blobs" / "quarantine" / DIGEST).exists()


async def test_damaged_checksums_do_not_condemn_a_sound_blob(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    await Uploads(store).receive(DIGEST, len(DATA), pieces(DATA))
    sums = store.path(DIGEST).with_name(DIGEST + ".sums")
    flip(sums, at=5)
    assert await read_all(store) == DATA
    sums.unlink()
    assert await read_all(store, offset=100) == DATA[100:]
    assert sums.exists()


def flip(path: Path, *, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


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
    monkeypatch.setattr(blob_store, "DISK_RESERVE_BYTES", 2**62)
    with pytest.raises(DiskFull):
        await Uploads(store).receive(DIGEST, len(DATA), pieces(DATA))
    assert files_of(tmp_path / "blobs") == []


async def test_a_master_that_lacks_a_blob_does_not_fetch_it_for_another(tmp_path: Path) -> None:
    nobody = cast(Any, None)
    store = BlobStore(tmp_path / "blobs")
    keeper = BlobKeeper(store, Replica(), nobody, address="m:1", publish=nobody)
    keeper.fetch = nobody  # type: ignore[method-assign]
    with pytest.raises(NotFound, match="does not hold"):
        await keeper.get(GetBlob(digest=DIGEST), nobody, may_fetch=False)


class Leaves:
    """A reader that goes away after the first piece."""

    async def send(self, piece: bytes) -> None:
        raise ConnectionLost


def open_below(folder: Path) -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.append(str(each.readlink()))
    return [name for name in found if name.startswith(str(folder))]


async def test_a_file_is_closed_at_once_when_its_reader_leaves_in_the_middle(
    tmp_path: Path,
) -> None:
    """Not when the collector comes by: a master that leads for long hardly ever lets it."""
    nobody = cast(Any, None)
    store = BlobStore(tmp_path / "blobs")
    keeper = BlobKeeper(store, Replica(), nobody, address="m:1", publish=nobody)
    await keeper.uploads.receive(DIGEST, len(DATA), pieces(DATA))
    gone: ConnectionLost | None = None
    try:
        await keeper.get(GetBlob(digest=DIGEST), cast(Any, Leaves()), may_fetch=False)
    except ConnectionLost as error:
        gone = error  # as a task keeps its exception, and with it the frames of all who read
    assert gone is not None
    assert open_below(tmp_path) == []


async def test_an_upload_that_is_given_up_leaves_no_file_open_and_nobody_writes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is writing cannot be cancelled: its file stays open until it is through."""
    store = BlobStore(tmp_path / "blobs")
    uploads = Uploads(store)
    plain, is_free = os.pwrite, threading.Event()
    written: list[list[str]] = []

    def slow(fd: int, data: bytes, offset: int) -> int:
        is_free.wait(10)
        written.append(open_below(tmp_path))
        return plain(fd, data, offset)

    monkeypatch.setattr(uploads_module.os, "pwrite", slow)
    for turns in (1, 2, 3, 5, 8, 13, 40):
        receiving = asyncio.create_task(uploads.receive(DIGEST, len(DATA), pieces(DATA)))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        receiving.cancel()
        await asyncio.sleep(0)
        is_free.set()
        with contextlib.suppress(asyncio.CancelledError):
            await receiving
        is_free.clear()
        assert open_below(tmp_path) == []
    assert written, "no upload came as far as writing"
    assert all(written), "a thread wrote to a file that was closed"


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
        await self._keeper.uploads.receive(digest, len(DATA), pieces(DATA))


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
    store = BlobStore(tmp_path / "blobs")
    keeper = BlobKeeper(store, replica, nobody, address="m:1", publish=nobody)
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
