"""The `titan` command itself: finding commands, telling errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from titan.cli import main as cli_main
from titan.cli.local import quiet_ports
from titan.errors import InvalidSpec, NotFound, Unavailable


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TITAN_MASTERS", "TITAN_HOST", "TITAN_PORT", "TITAN_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def test_every_command_of_the_help_exists_and_has_that_name() -> None:
    ctx = click.Context(cli_main.cli)
    for name in cli_main.cli.list_commands(ctx):
        command = cli_main.cli.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert command.help, name


@pytest.mark.parametrize("name", list(cli_main.ENTRIES))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run([name, "--help"]) == 0
    assert "Usage: titan" in capsys.readouterr().out


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from titan.cli import main; main.run(['--help']);"
        "heavy = ('rich', 'asyncio', 'msgspec', 'aiohttp', 'titan.sdk', 'titan.master', 'titan.cli.up');"
        "sys.exit(','.join(name for name in heavy if name in sys.modules) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nod"], 2, "No such command 'nod'"),
        (["node"], 2, "--data"),
        (["runs", "--masters", "nonsense"], 2, "is not an address"),
        (["run", "absent.yaml"], 2, "absent.yaml"),
        (["store", "set", "key"], 2, "either VALUE or --file"),
        (["up", "--masters", "2"], 2, "survive no more losses"),
        (["node", "--data", "d", "--listen", "0.0.0.0:1"], 2, "can be reached from other machines"),
        (["node", "--data", "d", "--peers", "127.0.0.1:1"], 2, "own address"),
    ],
)
def test_a_users_mistake_is_an_error_with_a_code_and_no_traceback(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert cli_main.run(arguments) == code
    finally:
        os.chdir(before)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert says in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_no_cluster_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    (port, _), *_ = quiet_ports(1)
    assert cli_main.run(["runs", "--masters", f"127.0.0.1:{port}"]) == Unavailable.exit_code
    err = capsys.readouterr().err
    assert "no master answers" in err
    assert "hint: " in err


def test_errors_keep_their_exit_codes_and_show_every_problem(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli_main.report(NotFound("no run r-1")) == 4
    assert cli_main.report(InvalidSpec(problems=("a.yaml:1:1: one", "a.yaml:2:1: two"))) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: no run r-1",
        "error: a.yaml:1:1: one",
        "  a.yaml:2:1: two",
    ]


def test_a_defect_says_so_and_shows_the_traceback_only_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli_main.report(KeyError("x")) == 70
    err = capsys.readouterr().err
    assert "internal error: KeyError" in err
    assert "Traceback" not in err
    monkeypatch.setenv("TITAN_DEBUG", "1")
    try:
        raise KeyError("x")
    except KeyError as error:
        cli_main.report(error)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["completion", shell]) == 0
    assert "_TITAN_COMPLETE" in capsys.readouterr().out


def test_completion_completes_commands() -> None:
    script = Path(sys.executable).with_name("titan")
    asked = {"_TITAN_COMPLETE": "bash_complete", "COMP_WORDS": "titan clu", "COMP_CWORD": "1"}
    ended = subprocess.run(
        [str(script)], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["plain,cluster"]


def test_the_schema_is_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert cli_main.run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")
