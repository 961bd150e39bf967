"""A `.py` job in a fork of a warm Python and in a new one: nobody can tell which it was."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.exec.python_corpus import ARGS, SCRIPTS
from tests.exec.support import is_alive, until
from tests.exec.test_warden import Harness
from titan.exec import procfs
from titan.exec.warm_pool import key_of

PYTHON = os.fsencode(sys.executable)
ENV = {
    b"PATH": os.fsencode(os.environ["PATH"]),
    b"HOME": b"/nonexistent",
    b"LANG": b"C.UTF-8",
    b"PYTHONUNBUFFERED": b"1",
    b"ODD": b"\xfa\n=",
}
SIBLING = "VALUE = 5\ndef fail():\n    raise LookupError('from the sibling')\n"


class Scripts(Harness):
    """Runs scripts both ways in folders of the same name."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.last = 0

    async def warm_up(self, env: dict[bytes, bytes]) -> None:
        """Until a server for this environment has taken a job."""
        before = self.warden.warm_starts
        deadline = 200
        while self.warden.warm_starts == before:
            assert (deadline := deadline - 1), "no warm Python came up"
            await self.run(b"", env=env, is_warm=True)

    async def run(
        self,
        text: str | bytes,
        *,
        env: dict[bytes, bytes],
        is_warm: bool,
        args: tuple[bytes, ...] = (),
    ) -> tuple[int, bytes]:
        """The exit code and the output of a script."""
        attempt = self.start(text, env=env, is_warm=is_warm, args=args)
        code = await self.code(attempt)
        return code, self.log(attempt).read_bytes()

    def start(
        self,
        text: str | bytes,
        *,
        env: dict[bytes, bytes],
        is_warm: bool,
        args: tuple[bytes, ...] = (),
    ) -> int:
        """Order a script; its attempt."""
        self.last += 1
        cwd = self.root / "cwd"
        shutil.rmtree(cwd, ignore_errors=True)
        (cwd / "tmp").mkdir(parents=True)
        (cwd / "data").write_text("42")
        (cwd / "sibling.py").write_text(SIBLING)
        script = cwd / "script.py"
        script.write_bytes(text.encode() if isinstance(text, str) else text)
        spawn = self.warden.spawn_script if is_warm else self.warden.spawn
        own = {b"TMPDIR": os.fsencode(cwd / "tmp"), b"TITAN_ATTEMPT": b"%d" % self.last}
        spawn(
            self.last,
            argv=[PYTHON, os.fsencode(script), *args],
            cwd=cwd,
            env={**env, **own},
            log=self.log(self.last),
        )
        return self.last


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Scripts]:
    harness = Scripts(tmp_path)
    yield harness
    await harness.warden.close()
    assert not is_alive(harness.warden.pid)
    assert not [pid for pid in harness.pids.values() if is_alive(pid)]


def comparable(output: bytes, attempt: int) -> str:
    """Without what differs between two runs of the same interpreter."""
    text = output.decode(errors="backslashreplace")
    text = text.replace(f"'TITAN_ATTEMPT' '{attempt}'", "'TITAN_ATTEMPT'")
    return re.sub(r"\b0x[0-9a-f]{6,}", "ADDRESS", text)


@pytest.mark.parametrize("env", [ENV, {k: ENV[k] for k in (b"PATH", b"ODD")}], ids=["job", "bare"])
async def test_every_script_of_the_corpus_does_the_same_in_a_fork(
    jobs: Scripts, env: dict[bytes, bytes]
) -> None:
    await jobs.warm_up(env)
    different: list[str] = []
    for name, text in SCRIPTS.items():
        results = {}
        for is_warm in (False, True):
            before = jobs.warden.warm_starts
            code, output = await jobs.run(text, env=env, is_warm=is_warm, args=ARGS)
            assert jobs.warden.warm_starts - before == is_warm, name
            results[is_warm] = [f"exit code {code}", *comparable(output, jobs.last).splitlines()]
        different += difflib.unified_diff(
            results[False], results[True], f"{name}: new", f"{name}: fork", lineterm="", n=0
        )
    assert not different, "\n".join(different)


async def test_what_a_fork_cannot_decide_anew_runs_in_a_new_interpreter(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    before = jobs.warden.warm_starts
    for name in (b"PYTHONHASHSEED", b"PYTHONPATH", b"PYTHONOPTIMIZE", b"LD_PRELOAD"):
        code, _ = await jobs.run("print(1)", env={**ENV, name: b"0"}, is_warm=True)
        assert code == 0
    assert jobs.warden.warm_starts == before
    assert key_of([PYTHON], {b"PYTHONWARNINGS": b""}) is None
    assert key_of([PYTHON], {**ENV, b"ANY": b"1"}) == key_of([PYTHON], ENV)
    assert key_of([PYTHON], {**ENV, b"LC_TIME": b"C"}) != key_of([PYTHON], ENV)


async def test_an_order_too_large_for_a_blank_is_spawned(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    before = jobs.warden.warm_starts
    result = await jobs.run(
        "import sys; print(len(sys.argv[1]))", env=ENV, is_warm=True, args=(b"x" * 100_000,)
    )
    assert result == (0, b"100000\n")
    assert jobs.warden.warm_starts == before


async def test_no_job_finds_the_environment_of_another_in_its_memory(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    secret = b"hunter2hunter2"
    for _ in range(3):
        await jobs.run("pass", env={**ENV, b"SECRET": secret}, is_warm=True)
    look = (
        "found = 0\n"
        "word = bytes(reversed(b'2retnuh2retnuh'))\n"
        "for line in open('/proc/self/maps'):\n"
        "    if ' rw' not in line: continue\n"
        "    a, b = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "    with open('/proc/self/mem', 'rb', 0) as m:\n"
        "        m.seek(a)\n"
        "        data = m.read(b - a)\n"
        "    found += data.count(word[:9] + word[9:])\n"
        "    del data\n"
        "print(found <= 1)\n"
    )
    assert await jobs.run(look, env=ENV, is_warm=True) == (0, b"True\n")
    told = {**ENV, b"SECRET": secret}  # who was told finds it, so the search is one
    assert await jobs.run(look, env=told, is_warm=True) == (0, b"False\n")


async def test_a_daemon_of_a_warm_job_is_told_apart_and_dies_with_it(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    attempt = jobs.start(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n",
        env=ENV,
        is_warm=True,
    )
    daemon = await jobs.read_pid(attempt)
    assert procfs.environ_value(daemon, b"TITAN_ATTEMPT") == b"%d" % attempt
    jobs.sh(9999, "true")
    assert await jobs.code(9999) == 0
    assert is_alive(daemon), "it was taken for somebody else's"
    (jobs.root / "cwd" / "go").touch()
    assert await jobs.code(attempt) == 0
    await until(lambda: not is_alive(daemon))


async def test_a_warm_job_that_ignores_term_is_killed_with_its_children(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    attempt = jobs.start(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True)\n"
        "time.sleep(1000)\n",
        env=ENV,
        is_warm=True,
    )
    child = await jobs.read_pid(attempt)
    jobs.warden.terminate(attempt)
    jobs.sh(9999, "true")
    assert await jobs.code(9999) == 0
    assert attempt not in jobs.exits
    jobs.warden.kill(attempt)
    assert await jobs.code(attempt) == 137
    await until(lambda: not is_alive(child))


async def test_when_the_server_dies_jobs_go_on_and_another_comes(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    running = jobs.start(
        "import time; print(1, flush=True); time.sleep(1000)", env=ENV, is_warm=True
    )
    await jobs.read_pid(running)
    for server in _servers(jobs):
        os.kill(server, signal.SIGKILL)
        await until(lambda server=server: not is_alive(server))
    assert await jobs.run("print(2)", env=ENV, is_warm=True) == (0, b"2\n")
    assert is_alive(jobs.pids[running])
    await jobs.warm_up(ENV)
    jobs.warden.kill(running)
    assert await jobs.code(running) == 137


async def test_killed_blanks_cost_a_job_nothing(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    blanks = set(procfs.children(jobs.warden.pid)) - set(_servers(jobs))
    for blank in blanks:
        os.kill(blank, signal.SIGKILL)
    for n in range(20):
        assert await jobs.run(f"print({n})", env=ENV, is_warm=True) == (0, b"%d\n" % n)


async def test_hundreds_of_warm_jobs_at_once_all_end_with_their_own_code(jobs: Scripts) -> None:
    await jobs.warm_up(ENV)
    text = "import os, sys; sys.exit(int(os.environ['TITAN_ATTEMPT']) % 100)"
    first = jobs.start(text, env=ENV, is_warm=True)
    cwd = jobs.root / "cwd"
    before = jobs.warden.warm_starts
    for attempt in range(first + 1, first + 200):
        jobs.warden.spawn_script(
            attempt,
            argv=[PYTHON, os.fsencode(cwd / "script.py")],
            cwd=cwd,
            env={**ENV, b"TITAN_ATTEMPT": b"%d" % attempt},
            log=jobs.log(attempt),
        )
    await until(lambda: first + 199 in jobs.exits or len(jobs.exits) >= first + 199, timeout_s=60)
    await until(lambda: all(n in jobs.exits for n in range(first, first + 200)), timeout_s=60)
    assert all(jobs.exits[n]["exit_code"] == n % 100 for n in range(first, first + 200))
    assert jobs.warden.warm_starts - before >= 199


def _servers(jobs: Scripts) -> list[int]:
    children = procfs.children(jobs.warden.pid)
    mark = b"TITAN_PADDING"
    found = [pid for pid in children if procfs.environ_value(pid, mark) is not None]
    return [min(found)] if found else []
