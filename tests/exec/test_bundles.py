"""The cache of unpacked bundles: one fetch, checked, kept while used, evicted when too much."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from titan.errors import ConnectionLost, NotFound, Unavailable
from titan.exec.bundles import BundleCache
from titan.exec.drivers import CannotStart
from titan.exec.files import download
from titan.ids import Digest


class Blobs:
    """A source that counts, and breaks when told."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.offsets: list[int] = []
        self.breaks_after: list[int] = []  # bytes, one per fetch to break

    async def wait_ready(self) -> None:
        return

    async def fetch(self, digest: Digest, *, offset: int) -> AsyncIterator[bytes]:
        self.offsets.append(offset)
        if digest not in self.data:
            raise NotFound
        end = len(self.data[digest])
        if self.breaks_after:
            end = offset + self.breaks_after.pop(0)
        yield self.data[digest][offset:end]
        if end < len(self.data[digest]):
            raise ConnectionLost

    def put(self, text: str, *, size: int = 1000) -> Digest:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo("f")
            member.size = size
            tar.addfile(member, io.BytesIO(text.encode().ljust(size)))
        digest = Digest(hashlib.sha256(buffer.getvalue()).hexdigest())
        self.data[digest] = buffer.getvalue()
        return digest


async def read(cache: BundleCache, digest: Digest) -> str:
    async with cache.use(digest) as files:
        return (files / "f").read_text().strip()


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def cache_in(tmp_path: Path, blobs: Blobs, *, bytes_max: int = 10_000) -> BundleCache:
    return BundleCache(tmp_path / "bundles", source=blobs, bytes_max=bytes_max)


async def test_many_users_share_one_fetch_and_it_outlives_the_worker(
    tmp_path: Path, blobs: Blobs
) -> None:
    digest = blobs.put("hello")
    cache = cache_in(tmp_path, blobs)
    assert await asyncio.gather(*(read(cache, digest) for _ in range(10))) == ["hello"] * 10
    assert await read(cache_in(tmp_path, blobs), digest) == "hello"
    assert blobs.offsets == [0]


async def test_a_broken_fetch_goes_on_where_it_stopped(tmp_path: Path, blobs: Blobs) -> None:
    digest = blobs.put("hello")
    blobs.breaks_after = [100, 0, 200]
    assert await read(cache_in(tmp_path, blobs), digest) == "hello"
    assert blobs.offsets == [0, 100, 100, 300]


async def test_a_waiter_that_gives_up_does_not_end_the_fetch_of_the_others(
    tmp_path: Path, blobs: Blobs
) -> None:
    digest = blobs.put("hello")
    cache = cache_in(tmp_path, blobs)
    first, second = (asyncio.create_task(read(cache, digest)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "hello"
    assert first.cancelled()


async def test_the_least_recently_used_bundle_goes_but_never_one_in_use(
    tmp_path: Path, blobs: Blobs
) -> None:
    cache = cache_in(tmp_path, blobs, bytes_max=2500)
    one, two, three, four = (blobs.put(text) for text in ("1", "2", "3", "4"))
    async with cache.use(one) as files:
        await read(cache, two)
        await read(cache, three)  # two has to go: one is in use
        assert (files / "f").exists()
        assert cache.size_bytes == 2000
    await read(cache, one)
    await read(cache, four)  # three is now the oldest
    before = len(blobs.offsets)
    assert [await read(cache, digest) for digest in (one, four)] == ["1", "4"]
    assert len(blobs.offsets) == before
    assert await read(cache, two) == "2"
    assert len(blobs.offsets) == before + 1


async def test_a_bundle_that_cannot_be_had_now_is_not_the_declarations_fault(
    tmp_path: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "FRUITLESS_MAX", 2)
    digest = blobs.put("x")
    blobs.breaks_after = [0, 0]
    with pytest.raises(Unavailable):
        await read(cache_in(tmp_path, blobs), digest)


async def test_damage_is_fetched_again_and_then_refused(tmp_path: Path, blobs: Blobs) -> None:
    digest = blobs.put("hello")
    blobs.data[digest] = blobs.data[digest][:-1] + b"!"
    with pytest.raises(CannotStart, match="SHA-256"):
        await read(cache_in(tmp_path, blobs), digest)
    assert len(blobs.offsets) == 3
    with pytest.raises(CannotStart, match="not the digest"):
        await read(cache_in(tmp_path, blobs), Digest("../../etc"))


async def test_half_an_unpacked_bundle_is_not_believed_after_a_kill(
    tmp_path: Path, blobs: Blobs
) -> None:
    digest = blobs.put("hello")
    (tmp_path / "bundles" / digest / "files").mkdir(parents=True)
    assert await read(cache_in(tmp_path, blobs), digest) == "hello"
