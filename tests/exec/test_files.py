"""Files on the worker: the cache, placing inputs, publishing checkpoints, sending logs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from titan.errors import Conflict, ConnectionLost, NotFound
from titan.exec.drivers import CannotStart
from titan.exec.files.cache import FileCache
from titan.exec.files.checkpoints import Checkpoints
from titan.exec.files.inputs import choose, place
from titan.fsm.commands import PublishCheckpoint
from titan.ids import AttemptId, Digest, JobId
from titan.spec.manifest import FileEntry, Manifest, encode_listing, manifest_of


class Blobs:
    """A source that counts, and breaks when told."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.offsets: list[int] = []
        self.breaks_after: list[int] = []

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

    def put(self, data: bytes) -> Digest:
        digest = Digest(hashlib.sha256(data).hexdigest())
        self.data[digest] = data
        return digest


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def cache_in(tmp_path: Path, blobs: Blobs, *, bytes_max: int = 10_000) -> FileCache:
    return FileCache(tmp_path / "files", source=blobs, bytes_max=bytes_max)


async def read(cache: FileCache, digest: Digest) -> bytes:
    async with cache.use(digest) as path:
        return path.read_bytes()


# --- the cache ------------------------------------------------------------------------------------


async def test_many_users_share_one_resumed_fetch_and_a_restart_checks_what_it_finds(
    tmp_path: Path, blobs: Blobs
) -> None:
    data = bytes(1000)
    digest = blobs.put(data)
    blobs.breaks_after = [300]
    cache = cache_in(tmp_path, blobs)
    assert await asyncio.gather(*(read(cache, digest) for _ in range(5))) == [data] * 5
    assert blobs.offsets == [0, 300]
    assert await read(cache_in(tmp_path, blobs), digest) == data
    (tmp_path / "files" / digest).chmod(0o600)
    (tmp_path / "files" / digest).write_bytes(b"x" * 1000)
    assert await read(cache_in(tmp_path, blobs), digest) == data
    assert blobs.offsets == [0, 300, 0]


async def test_a_file_that_changes_behind_the_caches_back_is_fetched_again(
    tmp_path: Path, blobs: Blobs
) -> None:
    digest = blobs.put(b"right")
    cache = cache_in(tmp_path, blobs)
    made = tmp_path / "made"
    made.write_bytes(b"right")
    await cache.adopt(digest, made)
    assert await read(cache, digest) == b"right"
    assert blobs.offsets == []
    made.write_bytes(b"wrong")  # the same file, by its other name
    assert await read(cache, digest) == b"right"
    assert blobs.offsets == [0]


async def test_the_least_recently_used_file_goes_but_never_one_in_use(
    tmp_path: Path, blobs: Blobs
) -> None:
    cache = cache_in(tmp_path, blobs, bytes_max=2500)
    one, two, three = (blobs.put(bytes([n]) * 1000) for n in range(3))
    async with cache.use(one) as path:
        await read(cache, two)
        await read(cache, three)
        assert path.exists()
    assert cache.size_bytes == 2000
    before = len(blobs.offsets)
    await read(cache, one)
    await read(cache, three)
    assert len(blobs.offsets) == before
    await read(cache, two)
    assert len(blobs.offsets) == before + 1


# --- inputs ---------------------------------------------------------------------------------------


async def test_inputs_come_out_of_single_files_and_of_packs(tmp_path: Path, blobs: Blobs) -> None:
    cache = cache_in(tmp_path, blobs)
    single = manifest_of(
        [
            FileEntry("d", Digest(""), 0, 0o750),
            FileEntry("d/a", blobs.put(b"aaa"), 3, 0o755),
            FileEntry("empty", blobs.put(b""), 0, 0o600),
        ]
    )
    listing = encode_listing([FileEntry("x/one", Digest("1" * 64), 2, 0o644, offset=3)])
    packed = Manifest(listing=blobs.put(listing), pack=blobs.put(b"...ab..."), count=1, size=2)
    manifests = {JobId("s"): single, JobId("p"): packed}
    home = tmp_path / "home"
    home.mkdir()
    chosen = await choose(["s:d/*", "s:empty", "p:x/one -> y/two"], manifests, cache=cache)
    await place(chosen, home, cache=cache)
    assert (home / "d/a").read_bytes() == b"aaa"
    assert (home / "d/a").stat().st_mode & 0o777 == 0o755
    assert (home / "d").stat().st_mode & 0o777 == 0o750
    assert (home / "empty").read_bytes() == b""
    assert (home / "y/two").read_bytes() == b"ab"
    with pytest.raises(CannotStart, match=r"job 's' has left no file 'q'; it has left d/a, empty"):
        await choose(["s:q"], manifests, cache=cache)
    with pytest.raises(CannotStart, match="it has left nothing"):
        await choose(["gone:q"], manifests, cache=cache)


async def test_a_link_in_the_bundle_does_not_lead_an_input_out(
    tmp_path: Path, blobs: Blobs
) -> None:
    cache = cache_in(tmp_path, blobs)
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (home / "d").symlink_to(outside)
    left = manifest_of([FileEntry("d/a", blobs.put(b"a"), 1, 0o644)])
    chosen = await choose(["j:d/a"], {JobId("j"): left}, cache=cache)
    with pytest.raises(CannotStart, match="leads out"):
        await place(chosen, home, cache=cache)
    assert list(outside.iterdir()) == []


# --- checkpoints ----------------------------------------------------------------------------------


class Masters:
    """What was stored and published."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.published: list[PublishCheckpoint] = []
        self.refusal: Exception | None = None

    async def put(self, digest: Digest, path: Path) -> None:
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest
        self.stored.append(data)

    async def publish(self, command: PublishCheckpoint) -> object:
        if self.refusal is not None:
            raise self.refusal
        self.published.append(command)
        return True


async def test_a_checkpoint_is_published_when_it_has_changed_and_refused_ones_are_forgotten(
    tmp_path: Path,
) -> None:
    masters = Masters()
    checkpoints = Checkpoints(put=masters.put, publish=masters.publish, scratch=tmp_path / "s")
    folder = tmp_path / "c"
    (folder / "deep").mkdir(parents=True)
    attempt = AttemptId(7)
    checkpoints.watch(attempt, folder, is_filled=True)
    assert not checkpoints.has_news(attempt)
    (folder / ".half-written").write_text("...")
    assert not checkpoints.has_news(attempt)
    (folder / "deep/a").write_text("1")
    assert checkpoints.has_news(attempt)
    assert await checkpoints.publish(attempt)
    assert not checkpoints.has_news(attempt)
    assert await checkpoints.publish(attempt)  # nothing to do
    (folder / "b").write_text("2")
    assert await checkpoints.publish(attempt)
    assert [[entry.path for entry in one.manifest.files] for one in masters.published] == [
        ["deep", "deep/a"],
        ["b", "deep", "deep/a"],
    ]
    masters.refusal = ConnectionLost()
    (folder / "b").write_text("3 is longer")
    assert not await checkpoints.publish(attempt)
    assert checkpoints.has_news(attempt)
    masters.refusal = Conflict("superseded", reason="attempt_not_live")
    assert not await checkpoints.publish(attempt)
    assert not checkpoints.has_news(attempt)
    assert list((tmp_path / "s").iterdir()) == []
