"""Workspaces: private, clean at the start, and reused only when nothing of a job is left in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from titan.exec.workspace import Workspace, Workspaces
from titan.limits import OUTPUT_BLOB_BYTES_MAX, OUTPUT_BYTES_MAX


def test_an_untouched_workspace_serves_again_without_its_output(tmp_path: Path) -> None:
    pool = Workspaces(tmp_path / "work")
    first = pool.take()
    assert pool.take() is not first
    first.output.write_bytes(b"42")
    assert first.read_output() == (b"42", "")
    assert pool.give_back(first)
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
def test_a_workspace_with_traces_of_a_job_is_not_reused_and_can_be_removed(
    tmp_path: Path, trace: str
) -> None:
    pool = Workspaces(tmp_path / "work")
    workspace = pool.take()
    TRACES[trace](workspace)
    assert not pool.give_back(workspace)
    workspace.remove()
    assert not workspace.root.exists()
    assert pool.take().root != workspace.root


def test_what_a_killed_worker_left_is_removed_at_the_start(tmp_path: Path) -> None:
    left = Workspaces(tmp_path / "work").take()
    (left.cwd / "locked").mkdir()
    (left.cwd / "locked" / "f").touch()
    (left.cwd / "locked").chmod(0o500)
    Workspaces(tmp_path / "work")
    assert not left.root.exists()


def test_the_copy_of_a_bundle_is_writable_and_the_original_stays(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "sub").mkdir(parents=True)
    (bundle / "sub" / "tool").write_text("one")
    (bundle / "sub" / "tool").chmod(0o555)
    (bundle / "link").symlink_to("sub/tool")
    workspace = Workspaces(tmp_path / "work").take()
    workspace.fill(bundle)
    copy = workspace.cwd / "sub" / "tool"
    assert os.access(copy, os.X_OK)
    assert copy.stat().st_mode & 0o200
    assert (workspace.cwd / "link").readlink() == Path("sub/tool")
    copy.write_text("two")
    assert (bundle / "sub" / "tool").read_text() == "one"
    shutil.rmtree(workspace.root)


def test_a_large_output_is_copied_and_never_through_a_link(tmp_path: Path) -> None:
    workspace = Workspaces(tmp_path / "work").take()
    workspace.output.write_bytes(b"x" * OUTPUT_BYTES_MAX)
    assert not workspace.has_large_output()
    workspace.output.write_bytes(b"x" * (OUTPUT_BYTES_MAX + 1))
    assert workspace.has_large_output()
    assert workspace.read_output() == (b"", "")
    workspace.take_large_output(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == workspace.output.read_bytes()
    (tmp_path / "secret").write_bytes(b"s" * (OUTPUT_BYTES_MAX + 1))
    workspace.output.unlink()
    workspace.output.symlink_to(tmp_path / "secret")
    assert not workspace.has_large_output()
    with pytest.raises(OSError, match="symbolic links"):
        workspace.take_large_output(tmp_path / "copy")


def test_output_that_cannot_be_taken_is_explained(tmp_path: Path) -> None:
    workspace = Workspaces(tmp_path / "work").take()
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
