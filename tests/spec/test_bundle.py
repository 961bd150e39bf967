"""Bundles: the same everywhere, complete, bounded, and never more than the project."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titan.errors import Conflict, InvalidSpec, LimitExceeded
from titan.spec import bundle as bundles
from titan.spec.bundle import Bundle, bundle_files, bundle_project


def contents(bundle: Bundle) -> dict[str, tarfile.TarInfo]:
    with bundle, tarfile.open(fileobj=io.BytesIO(bundle.rewind().read())) as archive:
        return {member.name: member for member in archive.getmembers()}


def make(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_same_files_give_the_same_bytes_whenever_and_wherever(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    for root, names in ((first, ["a.py", "b/c.txt", "Z"]), (second, ["Z", "b/c.txt", "a.py"])):
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
    os.utime(second / "a.py", (time.time() - 9999,) * 2)
    (second / "a.py").chmod(0o640)
    with bundle_project(first) as one, bundle_project(second) as two:
        data = one.rewind().read()
        assert data == two.rewind().read()
        assert one.digest == two.digest == hashlib.sha256(data).hexdigest()
        assert one.size == len(data)
        assert one.names == {"a.py", "b/c.txt", "Z"}


def test_the_executable_bit_and_nothing_else_of_the_mode_is_kept(tmp_path: Path) -> None:
    make(tmp_path, run="#!", plain="x")
    (tmp_path / "run").chmod(0o4755)
    found = contents(bundle_project(tmp_path))
    assert {name: oct(info.mode) for name, info in found.items()} == {
        "plain": "0o644",
        "run": "0o755",
    }
    assert all((info.mtime, info.uid, info.uname) == (0, 0, "") for info in found.values())


def test_ignore_files_count_in_every_folder_and_titanignore_has_the_last_word(
    tmp_path: Path,
) -> None:
    make(
        tmp_path,
        _dot_gitignore="*.log\nbuild/\n/data\n",
        _dot_titanignore="!keep.log\nsecret*\n",
        a_dot_log="",
        keep_dot_log="",
        secret_dot_txt="",
        data__x="",
        sub__data__x="",
        build__x="",
        sub__build__x="",
        sub__b_dot_log="",
        sub___dot_gitignore="!b.log\nlocal\n",
        sub__local="",
        local="",
        _dot_git__config="",
        _dot_venv__x="",
        sub____pycache____x="",
    )
    (tmp_path / "sub" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "sub" / "__pycache__" / "x.pyc").touch()
    (tmp_path / "empty").mkdir()
    assert set(contents(bundle_project(tmp_path))) - {"sub/x"} >= {
        ".gitignore",
        ".titanignore",
        "keep.log",
        "sub/data/x",
        "sub/b.log",
        "sub/.gitignore",
        "local",
        "empty",
    }
    names = set(contents(bundle_project(tmp_path)))
    for left_out in ("a.log", "secret.txt", "data/x", "build/x", "sub/build/x", "sub/local"):
        assert left_out not in names
    assert not any(part in name for name in names for part in (".git/", ".venv", "__pycache__"))


def test_links_inside_are_kept_and_those_that_escape_are_named(tmp_path: Path) -> None:
    root = make(tmp_path / "project", a="x", sub__b="y")
    (root / "sub" / "up").symlink_to("../a")
    (root / "absolute").symlink_to(root / "sub" / "b")
    (root / "dangling").symlink_to("nowhere")
    found = contents(bundle_project(root))
    assert {name: info.linkname for name, info in found.items() if info.issym()} == {
        "sub/up": "../a",
        "absolute": "sub/b",
        "dangling": "nowhere",
    }
    (root / "out").symlink_to("../../etc/passwd")
    (root / "sub" / "host").symlink_to("/etc")
    (root / "back").symlink_to("../project-other/x")
    (root / "through").symlink_to("sub/host/passwd")
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidSpec) as refused:
        bundle_project(root)
    assert sorted(problem.split(":")[0] for problem in refused.value.problems) == [
        "back",
        "out",
        "pipe",
        "sub/host",
        "through",
    ]
    assert "/etc" in str(refused.value)
    assert ".titanignore" in refused.value.hint


def test_it_is_compressed_only_when_that_pays(tmp_path: Path) -> None:
    with bundle_files({"text": b"abc" * 100_000}) as text:
        assert text.rewind().read(2) == b"\x1f\x8b"
        assert text.size < 20_000
    noise = random.Random(1).randbytes(300_000)
    with bundle_files({"noise": noise}) as plain:
        assert plain.rewind().read(5) == b"noise"


def test_names_that_are_long_or_not_utf8_survive(tmp_path: Path) -> None:
    long = "d/" * 60 + "n" * 200
    (tmp_path / long).parent.mkdir(parents=True)
    (tmp_path / long).write_text("x")
    odd = os.fsdecode(b"caf\xe9")
    (tmp_path / odd).write_text("y")
    assert set(contents(bundle_project(tmp_path))) == {long, odd}


@pytest.mark.parametrize(
    "limit", ["BUNDLE_FILES_MAX", "BUNDLE_UNPACKED_BYTES_MAX", "BUNDLE_BYTES_MAX"]
)
def test_a_bundle_over_a_limit_names_its_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    for at in range(10):
        (tmp_path / f"file{at}").write_bytes(random.Random(at).randbytes(1000 * (at + 1)))
    monkeypatch.setattr(bundles, limit, 5)
    with pytest.raises(LimitExceeded) as refused:
        bundle_project(tmp_path)
    assert ".titanignore" in refused.value.hint
    if limit != "BUNDLE_FILES_MAX":
        lines = str(refused.value).splitlines()[1:]
        assert [line.split()[1] for line in lines] == [f"file{at}" for at in (9, 8, 7, 6, 5)]


def test_a_file_that_changes_while_it_is_packed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_text("long enough")
    entries = bundles._project_entries(tmp_path)
    file.write_text("short")
    with pytest.raises(Conflict, match="changed while"):
        bundles._pack(entries)


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", ".", "a\0"])
def test_paths_that_leave_the_bundle_are_refused(name: str) -> None:
    with pytest.raises(InvalidSpec, match="cannot be a path"):
        bundle_files({name: b""})


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundle_files({"a": tmp_path / "nope"})
    with pytest.raises(NotADirectoryError):
        bundle_project(tmp_path / "nope")
    with pytest.raises(InvalidSpec, match="not a regular file"):
        bundle_files({"a": tmp_path})


parts = st.text(st.sampled_from("abé. -"), min_size=1, max_size=4).filter(
    lambda part: part not in (".", "..")
)
trees = st.dictionaries(
    st.lists(parts, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), max_size=8
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=trees)
def test_what_is_packed_is_what_comes_out(tree: dict[str, bytes], tmp_path: Path) -> None:
    names = sorted(tree)
    tree = {name: tree[name] for name in names if not any(n.startswith(f"{name}/") for n in names)}
    with bundle_files(tree) as bundle:
        data = bundle.rewind().read()
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        out = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    assert out == tree
    root = tmp_path / "again"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, content in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    with bundle_project(root) as again:
        assert again.digest == bundle.digest
