"""From declarations to commands, and what is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.exec.support import order
from titan.exec import environment
from titan.exec.drivers import CannotStart, command

ENV = {b"PATH": b"/usr/bin:/bin"}


def argv(cwd: Path, **fields: Any) -> list[bytes]:
    return command(order(1, **fields).spec, cwd=cwd, env=ENV, python=sys.executable)


def refusal(cwd: Path, **fields: Any) -> str:
    with pytest.raises(CannotStart) as caught:
        argv(cwd, **fields)
    return str(caught.value)


def write(path: Path, text: str, mode: int = 0o644) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return os.fsencode(path)


def test_files_run_by_their_suffix_with_arguments_unchanged(tmp_path: Path) -> None:
    script = write(tmp_path / "sub" / "a.py", "")
    shell = write(tmp_path / "b.sh", "")
    tool = write(tmp_path / "tool", "#!/bin/sh\n", 0o755)
    odd = (b"a|b;c", b"\n", b"\xff")
    assert argv(tmp_path, file="sub/a.py", args=odd) == [os.fsencode(sys.executable), script, *odd]
    assert argv(tmp_path, file="b.sh", args=odd)[1:] == [shell, *odd]
    assert argv(tmp_path, file="tool", args=odd) == [tool, *odd]


def test_a_shell_line_gets_its_arguments_as_positions(tmp_path: Path) -> None:
    found = argv(tmp_path, shell=b'echo "$1"', args=(b"x y",))
    assert found[0].endswith(b"/bash")
    assert found[1:] == [b"-c", b'echo "$1"', b"titan", b"x y"]


def test_a_program_is_found_in_the_path_of_the_job(tmp_path: Path) -> None:
    assert argv(tmp_path, argv=(b"true", b"-x"), args=(b"y",)) == [b"/usr/bin/true", b"-x", b"y"]
    assert "PATH=/usr/bin:/bin" in refusal(tmp_path, argv=(b"no-such-program",))
    assert "there is no program" in refusal(tmp_path, argv=(b"./nothing",))


def test_a_missing_file_is_named_with_what_is_there(tmp_path: Path) -> None:
    assert "no bundle" in refusal(tmp_path, file="a.py")
    write(tmp_path / "main.py", "")
    reason = refusal(tmp_path, file="mian.py")
    assert "'mian.py'" in reason
    assert "main.py" in reason


@pytest.mark.parametrize("name", ["../a.py", "/etc/passwd", "x/../../a.py", "a\0.py"])
def test_paths_that_leave_the_bundle_are_refused(tmp_path: Path, name: str) -> None:
    assert "not a path inside the bundle" in refusal(tmp_path, file=name)


def test_a_link_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").symlink_to("/etc/passwd")
    assert "leads out" in refusal(tmp_path, file="a.py")


def test_what_cannot_be_executed_is_refused_with_advice(tmp_path: Path) -> None:
    write(tmp_path / "tool", "#!/bin/sh\n", 0o644)
    write(tmp_path / "data", "plain text\n", 0o755)
    (tmp_path / "folder").mkdir()
    assert "a file" in refusal(tmp_path, file="folder")
    assert "#!" in refusal(tmp_path, file="data")
    if os.getuid() != 0 or not os.access(tmp_path / "tool", os.X_OK):
        assert "not executable" in refusal(tmp_path, file="tool")


def test_what_this_worker_has_no_driver_for_is_refused(tmp_path: Path) -> None:
    assert "type 'gate'" in refusal(tmp_path, argv=(b"true",), type="gate")
    assert "exactly one" in refusal(tmp_path, argv=(b"true",), shell=b"true")


def test_the_environment_is_clean_and_titans_own_names_win(tmp_path: Path) -> None:
    base = environment.base(
        {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "hush", "HOME": "/root"},
        worker="w-1",
        data_dir=tmp_path,
        capabilities=("GENERAL", "GPU"),
    )
    run = order(5, env={"A": "job", "TITAN_ATTEMPT": "6", "PATH": "/opt"})
    env = environment.of_attempt(
        run,
        base=base,
        masters="a:1,b:2",
        tmp=tmp_path,
        output=tmp_path / "out",
        checkpoint=tmp_path,
    )
    assert b"AWS_SECRET_ACCESS_KEY" not in env
    assert env[b"A"] == b"job"
    assert env[b"PATH"] == b"/opt"
    assert env[b"TITAN_ATTEMPT"] == b"5"
    assert env[b"TITAN_FENCE"] == b"50"
    assert env[b"TITAN_CAPABILITIES"] == b"GENERAL,GPU"
    assert env[b"TITAN_MASTERS"] == b"a:1,b:2"
    assert env[b"PYTHONUNBUFFERED"] == b"1"
    assert env[b"TMPDIR"] == os.fsencode(tmp_path)


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_impossible_variables_are_refused(tmp_path: Path, name: str) -> None:
    base = environment.base({}, worker="w", data_dir=tmp_path, capabilities=())
    with pytest.raises(CannotStart, match="cannot be set"):
        environment.of_attempt(
            order(1, env={name: "x"}),
            base=base,
            masters="",
            tmp=tmp_path,
            output=tmp_path,
            checkpoint=tmp_path,
        )
