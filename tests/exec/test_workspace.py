"""Workspaces: private, clean at the start, and reused only when nothing of a job is left in them."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from titan.exec.bundles import BundleCache
from titan.exec.changes import CLOCK_STEP_NS, MappingProbe
from titan.exec.files.download import BlobSource
from titan.exec.workspace import Workspace, take_large_output
from titan.exec.workspaces import Workspaces
from titan.ids import Digest
from titan.limits import MIB, OUTPUT_BLOB_BYTES_MAX, OUTPUT_BYTES_MAX


@pytest.fixture
def pool(tmp_path: Path) -> Workspaces:
    return a_pool(tmp_path)


def a_pool(root: Path) -> Workspaces:
    bundles = BundleCache(root / "bundles", source=cast(BlobSource, None), bytes_max=MIB)
    return Workspaces(root / "work", bundles=bundles)


async def test_an_untouched_workspace_serves_again_without_its_output(pool: Workspaces) -> None:
    first = pool.take()
    assert pool.take() is not first
    first.output.write_bytes(b"42")
    assert first.read_output() == (b"42", "")
    pool.give_back(first)
    assert pool.take() is first
    assert first.read_output() == (b"", "")


def replace_by_link(workspace: Workspace) -> None:
    workspace.cwd.rmdir()
    workspace.cwd.symlink_to("/")


TRACES: dict[str, Callable[[Workspace], object]] = {
    "a file": lambda w: (w.cwd / "f").touch(),
    "a temporary file": lambda w: (w.tmp / "f").touch(),
    "a file beside": lambda w: (w.root / "f").touch(),
    "its folder removed": lambda w: w.cwd.rmdir(),
    "its folder opened to all": lambda w: w.cwd.chmod(0o777),
    "its folder replaced by a link": replace_by_link,
    "a folder as output": lambda w: w.output.mkdir(),
}


@pytest.mark.parametrize("trace", TRACES)
async def test_a_workspace_with_traces_of_a_job_is_removed(pool: Workspaces, trace: str) -> None:
    workspace = pool.take()
    TRACES[trace](workspace)
    pool.give_back(workspace)
    await pool.close()
    assert not workspace.root.exists()
    assert pool.take().root != workspace.root


BUNDLE = Digest("b" * 64)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of a bundle that has been fetched."""
    files = tmp_path / "bundles" / BUNDLE / "files"
    (files / "sub").mkdir(parents=True)
    (files / "sub" / "tool").write_text("one")
    (files / "sub" / "tool").chmod(0o555)
    (files / "link").symlink_to("sub/tool")
    (files.parent / "size").write_text("3")
    return files


async def after_the_clocks_step() -> None:
    """Changes show in time stamps from then on. There is nothing to wait for but the time."""
    await asyncio.sleep(1.2 * CLOCK_STEP_NS / 1e9)


async def filled(pool: Workspaces, *, is_old: bool) -> Workspace:
    workspace = pool.take(BUNDLE)
    await pool.fill(workspace, BUNDLE)
    if is_old:
        await after_the_clocks_step()
        pool.give_back(workspace)
        await pool.close()  # compared by contents, and kept
        assert pool.take(BUNDLE) is workspace
    return workspace


@pytest.mark.parametrize("is_old", [False, True])
async def test_files_that_a_job_left_alone_serve_the_next_job_of_the_bundle(
    tmp_path: Path, project: Path, *, is_old: bool
) -> None:
    pool = a_pool(tmp_path)
    workspace = await filled(pool, is_old=is_old)
    workspace.output.write_bytes(b"42")
    pool.give_back(workspace)
    await pool.close()
    assert pool.is_ready(BUNDLE)
    assert pool.take() is not workspace  # a job without the bundle must not see it
    again = pool.take(BUNDLE)
    assert again is workspace
    assert again.read_output() == (b"", "")
    assert (again.cwd / "sub" / "tool").read_text() == "one"
    assert (project / "sub" / "tool").read_text() == "one"


def write_in_place(workspace: Workspace) -> None:
    with (workspace.cwd / "sub" / "tool").open("r+") as file:
        file.write("two")


def write_through_a_mapping(workspace: Workspace) -> None:
    with (workspace.cwd / "sub" / "tool").open("r+b") as file, mmap.mmap(file.fileno(), 3) as seen:
        seen[:] = b"two"


def replace_by_the_same(workspace: Workspace) -> None:
    tool = workspace.cwd / "sub" / "tool"
    tool.unlink()
    tool.symlink_to("/etc/hostname")


TRACES_IN_FILES: dict[str, Callable[[Workspace], object]] = {
    "a file written in place": write_in_place,
    "a file written through a mapping": write_through_a_mapping,
    "a file with a second name": lambda w: (w.root.parent / "f").hardlink_to(w.cwd / "sub/tool"),
    "a file opened to all": lambda w: (w.cwd / "sub" / "tool").chmod(0o777),
    "a file replaced by a link": replace_by_the_same,
    "a new file": lambda w: (w.cwd / "sub" / "f").touch(),
    "a file removed": lambda w: (w.cwd / "link").unlink(),
    "a temporary file": lambda w: (w.tmp / "f").touch(),
    "a checkpoint": lambda w: (w.checkpoint / "f").touch(),
    "a file beside": lambda w: (w.root / "f").touch(),
}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("trace", TRACES_IN_FILES)
async def test_files_that_a_job_has_changed_serve_nobody_else(
    tmp_path: Path, trace: str, *, is_old: bool
) -> None:
    pool = a_pool(tmp_path)
    workspace = await filled(pool, is_old=is_old)
    TRACES_IN_FILES[trace](workspace)
    pool.give_back(workspace)
    await pool.close()
    assert not workspace.root.exists()
    assert not pool.is_ready(BUNDLE)


def test_whether_writes_through_mappings_show_is_found_out_by_trying(tmp_path: Path) -> None:
    probe = MappingProbe(tmp_path / "probe")
    assert probe.is_noted()  # as ext4, xfs, btrfs and today's tmpfs do
    assert not (tmp_path / "probe").exists()
    assert not MappingProbe(tmp_path / "nowhere" / "probe").is_noted()


def test_what_a_killed_worker_left_is_removed_at_the_start(tmp_path: Path) -> None:
    left = a_pool(tmp_path).take()
    (left.cwd / "locked").mkdir()
    (left.cwd / "locked" / "f").touch()
    (left.cwd / "locked").chmod(0o500)
    a_pool(tmp_path)
    assert not left.root.exists()


def test_the_copy_of_a_bundle_is_writable_and_the_original_stays(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "sub").mkdir(parents=True)
    (bundle / "sub" / "tool").write_text("one")
    (bundle / "sub" / "tool").chmod(0o555)
    (bundle / "link").symlink_to("sub/tool")
    workspace = a_pool(tmp_path).take()
    workspace.fill(bundle, BUNDLE)
    copy = workspace.cwd / "sub" / "tool"
    assert os.access(copy, os.X_OK)
    assert copy.stat().st_mode & 0o200
    assert (workspace.cwd / "link").readlink() == Path("sub/tool")
    copy.write_text("two")
    assert (bundle / "sub" / "tool").read_text() == "one"
    shutil.rmtree(workspace.root)


def test_a_large_output_is_copied_and_never_through_a_link(tmp_path: Path) -> None:
    workspace = a_pool(tmp_path).take()
    workspace.output.write_bytes(b"x" * OUTPUT_BYTES_MAX)
    assert not workspace.has_large_output()
    workspace.output.write_bytes(b"x" * (OUTPUT_BYTES_MAX + 1))
    assert workspace.has_large_output()
    assert workspace.read_output() == (b"", "")
    take_large_output(workspace.output, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == workspace.output.read_bytes()
    (tmp_path / "secret").write_bytes(b"s" * (OUTPUT_BYTES_MAX + 1))
    workspace.output.unlink()
    workspace.output.symlink_to(tmp_path / "secret")
    assert not workspace.has_large_output()
    with pytest.raises(OSError, match="symbolic links"):
        take_large_output(workspace.output, tmp_path / "copy")


def test_output_that_cannot_be_taken_is_explained(tmp_path: Path) -> None:
    workspace = a_pool(tmp_path).take()
    workspace.output.write_bytes(b"x")
    os.truncate(workspace.output, OUTPUT_BLOB_BYTES_MAX + 1)
    assert not workspace.has_large_output()
    assert "larger than" in workspace.read_output()[1]
    workspace.output.unlink()
    workspace.output.symlink_to("/etc/passwd")
    assert "cannot be read" in workspace.read_output()[1]
    workspace.output.unlink()
    os.mkfifo(workspace.output)
    assert "not a file" in workspace.read_output()[1]
    workspace.output.unlink()
    workspace.output.mkdir()
    assert "cannot be read" in workspace.read_output()[1]


async def test_several_workspaces_may_be_the_first_to_ask_about_mappings(tmp_path: Path) -> None:
    """They share one file for finding out: it must not be cut or removed under another."""
    probe = MappingProbe(tmp_path / "probe")
    answers = await asyncio.gather(*(asyncio.to_thread(probe.is_noted) for _ in range(8)))
    assert len(set(answers)) == 1
    assert MappingProbe(tmp_path / "alone").is_noted() == answers[0]
