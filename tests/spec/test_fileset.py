"""What a job leaves: found by pattern, never outside of its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from titan.ids import Digest
from titan.limits import MANIFEST_FILES_MAX
from titan.spec.fileset import Incomplete, find, hashed, sha256_of, store
from titan.spec.manifest import decode_listing


def put(folder: Path, name: str, text: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_matches_come_with_their_folders_and_modes(tmp_path: Path) -> None:
    put(tmp_path, "out/deep/a.txt").chmod(0o640)
    put(tmp_path, "out/b.bin")
    put(tmp_path, "other")
    (tmp_path / "out/empty").mkdir()
    (tmp_path / "out/deep").chmod(0o750)
    found = find(tmp_path, ["out/**/*.txt"])
    assert [(one.path, one.is_folder, oct(one.mode)) for one in found if one.path != "out"] == [
        ("out/deep", True, "0o750"),
        ("out/deep/a.txt", False, "0o640"),
    ]
    assert [one.path for one in find(tmp_path, ["out"])] == [
        "out", "out/b.bin", "out/deep", "out/deep/a.txt", "out/empty",
    ]  # fmt: skip


def test_a_pattern_without_a_match_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a")
    with pytest.raises(Incomplete, match=r"no file matches 'b/\*', 'c'"):
        find(tmp_path, ["a", "b/*", "c"])


def test_links_are_followed_inside_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    put(home, "real", "inside")
    secret = put(tmp_path, "secret")
    (home / "good").symlink_to("real")
    assert [one.source.name for one in find(home, ["good"])] == ["real"]
    for name, target in (("bad", secret), ("gone", "nothing"), ("folder", tmp_path)):
        (home / name).symlink_to(target)
        with pytest.raises(Incomplete, match=f"'{name}' is a link"):
            find(home, [name])
    (home / "way").symlink_to(tmp_path)
    with pytest.raises(Incomplete, match=r"leads out|is a link"):
        find(home, ["way/secret"])


def test_sockets_and_pipes_are_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Incomplete, match="no file matches"):
        find(tmp_path, ["pipe"])


async def test_a_large_set_is_one_blob_with_a_listing(tmp_path: Path) -> None:
    home, blobs = tmp_path / "home", tmp_path / "blobs"
    blobs.mkdir()
    for number in range(MANIFEST_FILES_MAX + 5):
        put(home, f"d/{number:04}", f"file {number}")

    async def keep(digest: Digest, path: Path) -> None:
        (blobs / digest).write_bytes(path.read_bytes())

    found = find(home, ["d"])
    manifest = await store(found, hashed(found), put=keep, scratch=tmp_path)
    assert len(list(blobs.iterdir())) == 2
    assert manifest.count == MANIFEST_FILES_MAX + 5
    assert not manifest.files
    entries = decode_listing((blobs / manifest.listing).read_bytes())
    pack = (blobs / manifest.pack).read_bytes()
    last = entries[-1]
    assert pack[last.offset : last.offset + last.size] == b"file 260"
    assert last.digest == sha256_of(home / last.path)
