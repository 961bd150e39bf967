"""Jobs that name a Python or packages: one environment for each digest, built once and shared."""

from __future__ import annotations

import io
import socket
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.engines import needs_bubblewrap
from tests.exec.fake_master import FakeMaster
from tests.exec.running import Running, StartWorker, bundle, log_text, result
from tests.exec.support import is_alive, order, until
from tests.exec.wheels import make_wheel, offline
from titan.exec import procfs
from titan.spec.requirements import check, lines_of
from titan.wire.messages import KillAttempt

pytestmark = pytest.mark.timeout(120)

USES = "import sys, titan_tiny; print(titan_tiny.VALUE, sys.prefix)"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "titan_tiny")
    return folder


def built(running: Running) -> list[Path]:
    return sorted(mark.parent for mark in (running.data / "environments").glob("*/complete"))


async def test_requirements_are_built_once_and_shared_by_all_who_ask(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start(slots=4)
    digest = bundle(master, a_py=USES, r_txt="titan_tiny==1.0  # the only one\n\n")
    env = offline(wheels)
    lines = ("titan_tiny==1.0",)
    for attempt in (1, 2, 3):
        master.say(order(attempt, file="a.py", bundle=digest, env=env, requirements=lines))
    master.say(order(4, file="a.py", bundle=digest, env=env, requirements_file="r.txt"))
    for attempt in (1, 2, 3, 4):
        assert (await result(master, attempt)).exit_code == 0, log_text(running, attempt)
        last = log_text(running, attempt).splitlines()[-1]
        (root,) = built(running)
        assert last == f"42 {root / 'venv'}"
        assert "Successfully installed titan_tiny-1.0" in log_text(running, attempt)
    master.say(order(5, file="a.py", bundle=digest, env=env, requirements=lines))
    await result(master, 5)
    assert log_text(running, 5) == f"42 {root / 'venv'}\n"


async def test_a_warm_python_of_the_environment_serves_the_next_jobs(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start()
    digest = bundle(master, a_py=USES)
    attempt = 0
    while not running.worker._runner._warden.warm_starts:
        attempt += 1
        assert attempt < 50, "no job was warm"
        env = offline(wheels)
        master.say(
            order(attempt, file="a.py", bundle=digest, env=env, requirements=("titan_tiny",))
        )
        assert (await result(master, attempt)).exit_code == 0, log_text(running, attempt)
    assert log_text(running, attempt).startswith(f"42 {running.data}")


async def test_commands_find_the_environment_first_in_their_path(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start()
    line = b'python -c "import titan_tiny; print(titan_tiny.VALUE)"; echo $VIRTUAL_ENV'
    master.say(order(1, shell=line, env=offline(wheels), requirements=("titan_tiny",)))
    assert (await result(master, 1)).exit_code == 0
    (root,) = built(running)
    assert log_text(running, 1).endswith(f"\n42\n{root}/venv\n")


@needs_bubblewrap
async def test_an_environment_is_at_hand_in_a_sandbox(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start()
    digest = bundle(master, a_py=USES)
    env = offline(wheels)
    fields = {"bundle": digest, "env": env, "requirements": ("titan_tiny",)}
    master.say(order(1, file="a.py", isolation="sandbox", **fields))
    assert (await result(master, 1)).exit_code == 0, log_text(running, 1)
    assert "\n42 " in log_text(running, 1)


async def test_a_failed_build_fails_the_attempt_before_it_starts_with_the_reason(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start()
    for attempt in (1, 2):
        missing = ("no_such_package_anywhere",)
        master.say(order(attempt, env=offline(wheels), requirements=missing))
        ended = await result(master, attempt)
        assert (ended.cause, ended.exit_code) == ("not_prepared", -1)
        assert "no_such_package_anywhere" in ended.detail
        assert "no_such_package_anywhere" in log_text(running, attempt)
    assert built(running) == []
    make_wheel(wheels, "no_such_package_anywhere")
    master.say(order(3, env=offline(wheels), requirements=missing))
    assert (await result(master, 3)).exit_code == 0


@pytest.fixture
def slow_index() -> Iterator[str]:
    """A package index that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


async def test_a_build_holds_up_no_other_job_and_ends_with_the_last_who_wants_it(
    master: FakeMaster, start: StartWorker, slow_index: str
) -> None:
    running = await start(slots=3)
    env = {"PIP_INDEX_URL": slow_index}
    master.say(order(1, env=env, requirements=("titan_tiny",)))
    master.say(order(2, env=env, requirements=("titan_tiny",), timeout_ms=3000))
    pips = await until(lambda: _pips(running))
    master.say(order(3))
    assert (await result(master, 3)).exit_code == 0
    ended = await result(master, 2)
    assert ended.cause == "timeout"
    assert "still being prepared" in ended.detail
    assert all(map(is_alive, pips))  # the other one still waits for it
    master.say(KillAttempt(attempt=1, epoch=1, reason=""))
    await until(lambda: not any(map(is_alive, pips)))
    await until(lambda: not list((running.data / "environments").iterdir()))
    assert running.worker._core.is_idle()


async def test_a_killed_worker_leaves_no_build_running_and_no_half_environment(
    master: FakeMaster, start: StartWorker, slow_index: str
) -> None:
    running = await start()
    env = {"PIP_INDEX_URL": slow_index}
    master.say(order(1, env=env, requirements=("titan_tiny",)))
    pips = await until(lambda: _pips(running))
    await running.cancel()
    assert not any(map(is_alive, pips))
    half = running.data / "environments" / "half"
    half.mkdir()
    again = await start()
    await again.stop()
    assert not half.exists()


async def test_the_least_recently_used_environments_go(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start(environments_max=1)
    lines = ["titan_tiny", "titan_tiny==1.0"]
    first: list[Path] = []
    for attempt, line in enumerate(lines, start=1):
        master.say(order(attempt, env=offline(wheels), requirements=(line,)))
        assert (await result(master, attempt)).exit_code == 0, log_text(running, attempt)
        first = first or built(running)
    assert len(built(running)) == 1
    assert first[0] not in built(running)
    await until(lambda: len(list((running.data / "environments").iterdir())) == 1)


async def test_environments_outlive_their_worker(
    master: FakeMaster, start: StartWorker, wheels: Path
) -> None:
    running = await start()
    master.say(order(1, env=offline(wheels), requirements=("titan_tiny",)))
    await result(master, 1)
    before = built(running)
    await running.stop()
    again = await start()
    master.say(order(2, env=offline(wheels), requirements=("titan_tiny",)))
    assert (await result(master, 2)).exit_code == 0
    assert built(again) == before
    assert log_text(again, 2) == ""


async def test_a_job_may_name_an_interpreter_or_an_environment_of_the_worker(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    digest = bundle(master, a_py="import sys; print(sys.prefix)")
    for attempt, python in ((1, sys.prefix), (2, f"{sys.prefix}/bin/python")):
        master.say(order(attempt, file="a.py", bundle=digest, python=python))
        assert (await result(master, attempt)).exit_code == 0
        assert log_text(running, attempt) == f"{sys.prefix}\n"


@pytest.mark.parametrize(
    ("python", "cause"),
    [
        ("/nowhere/python", "not_prepared"),
        ("python0.9", "not_prepared"),
        ("/bin/echo", "not_prepared"),
        ("bin/python", "start_failed"),
    ],
)
async def test_a_python_that_is_none_is_named(
    master: FakeMaster, start: StartWorker, python: str, cause: str
) -> None:
    await start()
    master.say(order(1, python=python))
    ended = await result(master, 1)
    assert ended.cause == cause
    assert python in ended.detail


async def test_what_depends_on_files_beside_it_is_refused(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    digest = bundle(master, r_txt="-r other.txt\n")
    master.say(order(1, bundle=digest, requirements_file="r.txt"))
    ended = await result(master, 1)
    assert ended.cause == "start_failed"
    assert "-r other.txt" in ended.detail


@needs_bubblewrap
async def test_nothing_is_built_outside_for_a_job_that_runs_in_a_sandbox(
    master: FakeMaster, start: StartWorker, tmp_path: Path
) -> None:
    """A package from its source runs code while it is built, with the rights of the worker."""
    running = await start()
    source = tmp_path / "wheels" / "titan_evil-1.0.tar.gz"
    source.parent.mkdir()
    setup = f"open({str(tmp_path / 'built')!r}, 'w')\n".encode()
    with tarfile.open(source, "w:gz") as tar:
        for name in ("setup.py", "PKG-INFO"):
            member = tarfile.TarInfo(f"titan_evil-1.0/{name}")
            data = setup if name == "setup.py" else b"Metadata-Version: 1.0\nName: titan_evil\n"
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    env = {**offline(source.parent), "PIP_NO_BINARY": ":all:"}
    lines = (("titan_evil",), (f"titan_evil @ http://127.0.0.1:1/{source.name}",))
    for attempt, requirements in enumerate(lines, start=1):
        master.say(order(attempt, env=env, requirements=requirements, isolation="sandbox"))
        ended = await result(master, attempt)
        assert ended.exit_code == -1
        assert "titan_evil" in ended.detail
    assert not (tmp_path / "built").exists(), log_text(running, 1)


def test_lines_of_a_file() -> None:
    text = "# head\nb==1 \\\n  --hash=sha256:00\n\n a >= 2 # why\nc @ https://h/c.whl#sha256=1\r\n"
    assert lines_of(text) == ("b==1 --hash=sha256:00", "a >= 2", "c @ https://h/c.whl#sha256=1")
    check(lines_of(text))


@pytest.mark.parametrize(
    "line", ["-r x", "-e .", "-c c.txt", "./a.whl", "../a", "/a.whl", "a @ file:///a.whl", "."]
)
def test_a_line_that_names_a_file_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="names a file"):
        check([line])


def _pips(running: Running) -> list[int]:
    pid = running.worker._runner._warden.pid
    found = []
    for child in procfs.descendants(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"pip\0" in words and b"install" in words:
            found.append(child)
    return found
