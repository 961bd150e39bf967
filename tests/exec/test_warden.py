"""The warden with real processes: what it starts, reports, kills and never leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.exec.support import is_alive, until
from titan.exec import procfs
from titan.exec.warden_client import Warden


class Harness:
    """A warden, what it reported, and folders for its jobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pids: dict[int, int] = {}
        self.failures: dict[int, tuple[int, str]] = {}
        self.exits: dict[int, dict[str, int]] = {}
        self.is_lost = False
        self.warden = Warden(self)

    def on_started(self, attempt: int, pid: int) -> None:
        self.pids[attempt] = pid

    def on_start_failed(self, attempt: int, errno: int, text: str) -> None:
        self.failures[attempt] = (errno, text)

    def on_exited(self, attempt: int, **facts: int) -> None:
        self.exits[attempt] = facts

    def on_warden_lost(self) -> None:
        self.is_lost = True

    def log(self, attempt: int) -> Path:
        return self.root / f"{attempt}.log"

    def spawn(
        self, attempt: int, *argv: str | bytes, env: dict[bytes, bytes] | None = None
    ) -> None:
        cwd = self.root / f"cwd{attempt}"
        cwd.mkdir(exist_ok=True)
        base = {b"PATH": os.fsencode(os.environ["PATH"]), b"TITAN_ATTEMPT": b"%d" % attempt}
        self.warden.spawn(
            attempt,
            argv=[os.fsencode(word) for word in argv],
            cwd=cwd,
            env={**base, **(env or {})},
            log=self.log(attempt),
        )

    def sh(self, attempt: int, line: str) -> None:
        self.spawn(attempt, "/bin/bash", "-c", line)

    def py(self, attempt: int, text: str) -> None:
        self.spawn(attempt, sys.executable, "-c", text)

    async def code(self, attempt: int) -> int:
        await until(lambda: attempt in self.exits or attempt in self.failures)
        return self.exits[attempt]["exit_code"]

    async def read_pid(self, attempt: int) -> int:
        """The number a job printed."""
        text = await until(lambda: self._complete_line(attempt))
        return int(text)

    def _complete_line(self, attempt: int) -> str:
        text = self.log(attempt).read_text() if self.log(attempt).exists() else ""
        return text if text.endswith("\n") else ""


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Harness]:
    quit_before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as a shell's ampersand leaves it
    harness = Harness(tmp_path)
    signal.signal(signal.SIGQUIT, quit_before)
    yield harness
    if not harness.is_lost:
        await harness.warden.close()
    assert not is_alive(harness.warden.pid)
    assert not [pid for pid in harness.pids.values() if is_alive(pid)]


async def test_exit_codes_and_signals_are_told_as_a_shell_tells_them(jobs: Harness) -> None:
    jobs.sh(1, "exit 0")
    jobs.sh(2, "exit 7")
    jobs.sh(3, "kill -SEGV $$")
    assert [await jobs.code(n) for n in (1, 2, 3)] == [0, 7, 139]
    assert jobs.exits[1]["duration_us"] > 0


async def test_what_cannot_be_executed_is_reported(jobs: Harness) -> None:
    jobs.spawn(1, "/no/such/program")
    await until(lambda: 1 in jobs.failures)
    assert jobs.failures[1][0] == 2  # ENOENT
    jobs.spawn(2, "/bin/true", b"x" * 3_000_000)
    await until(lambda: 2 in jobs.failures)
    assert "too long" in jobs.failures[2][1]


async def test_both_streams_share_one_file_in_true_order_and_stdin_is_empty(jobs: Harness) -> None:
    jobs.sh(1, "echo a; echo b >&2; echo c; cat; echo d >&2; pwd")
    assert await jobs.code(1) == 0
    assert jobs.log(1).read_text() == f"a\nb\nc\nd\n{jobs.root}/cwd1\n"
    assert jobs.exits[1]["log_bytes"] == jobs.log(1).stat().st_size


async def test_arguments_and_environment_are_bytes_and_survive(jobs: Harness) -> None:
    odd = [b"a|b;c", b"line\nbreak", b"\xff\xfe", b"", b"$HOME `id` 'q' \"", "\u2603".encode()]
    program = (
        "import os, sys\n"
        "os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])) + os.environb[b'ODD'])"
    )
    jobs.spawn(1, sys.executable, "-c", program, *odd, env={b"ODD": b"\xfa\n"})
    assert await jobs.code(1) == 0
    assert jobs.log(1).read_bytes() == b"\0".join(odd) + b"\xfa\n"


async def test_a_job_has_its_own_session_default_signals_and_no_descriptor_but_three(
    jobs: Harness,
) -> None:
    jobs.py(
        1,
        "import os,signal\n"
        "assert os.getsid(0) == os.getpgrp() == os.getpid()\n"
        "status = open('/proc/self/status').read()\n"
        "blocked = int(status.split('SigBlk:')[1].split()[0], 16)\n"
        "print(blocked, sorted(os.listdir('/proc/self/fd')))\n",
    )
    jobs.spawn(2, "/bin/grep", "-E", "SigIgn|SigCgt", "/proc/self/status")
    assert await jobs.code(1) == 0
    assert jobs.log(1).read_text() == "0 ['0', '1', '2', '3']\n"  # 3 lists the folder itself
    assert await jobs.code(2) == 0
    ignored = int(jobs.log(2).read_text().split("SigIgn:")[1].split()[0], 16)
    assert ignored & 0x7FFF_FFFF == 0  # above them are the C library's own


async def test_terminate_reaches_the_whole_group(jobs: Harness) -> None:
    jobs.sh(1, "sleep 1000 & echo $!; wait")
    grandchild = await jobs.read_pid(1)
    jobs.warden.terminate(1)
    assert await jobs.code(1) == 143
    await until(lambda: not is_alive(grandchild))


async def test_a_job_that_ignores_term_is_killed(jobs: Harness) -> None:
    jobs.sh(1, "trap '' TERM; echo $$; while :; do sleep 1000; done")
    await jobs.read_pid(1)
    jobs.warden.terminate(1)
    jobs.sh(2, "true")  # the signal was delivered before this one ran
    assert await jobs.code(2) == 0
    assert 1 not in jobs.exits
    jobs.warden.kill(1)
    assert await jobs.code(1) == 137


async def test_what_a_job_leaves_in_the_background_dies_with_it(jobs: Harness) -> None:
    jobs.sh(1, "trap '' TERM; sleep 1000 & echo $!")
    child = await jobs.read_pid(1)
    assert await jobs.code(1) == 0
    await until(lambda: not is_alive(child))


DAEMON = """
import os, sys, time
os.setsid() if os.getpid() != os.getsid(0) else None
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {hide}
        os.write(1, b'%d\\n' % os.getpid())
        time.sleep(1000)
    os._exit(0)
os.wait()
{then}
"""
HIDE = "os.execve('/bin/bash', ['x', '-c', 'echo $$; exec sleep 1000'], {})"


@pytest.mark.parametrize("hide", ["pass", HIDE], ids=["plain", "environment cleared"])
async def test_a_daemon_dies_when_its_job_has_ended(jobs: Harness, hide: str) -> None:
    wait = "time.sleep(0.2) if not os.path.exists('go') else 0"
    then = f"\nwhile not os.path.exists('go'): {wait.split(' if')[0]}"
    jobs.py(1, DAEMON.format(hide=hide, then=then))
    daemon = await jobs.read_pid(1)
    assert procfs.stat(daemon).parent in (jobs.warden.pid, jobs.pids[1])  # type: ignore[union-attr]
    jobs.sh(2, "true")
    assert await jobs.code(2) == 0
    assert is_alive(daemon), "it was taken for somebody else's"
    (jobs.root / "cwd1" / "go").touch()
    assert await jobs.code(1) == 0
    await until(lambda: not is_alive(daemon))


async def test_killing_a_job_kills_its_daemon(jobs: Harness) -> None:
    jobs.py(1, DAEMON.format(hide="pass", then="time.sleep(1000)"))
    daemon = await jobs.read_pid(1)
    jobs.warden.kill(1)
    assert await jobs.code(1) == 137
    await until(lambda: not is_alive(daemon))


async def test_a_job_that_closes_its_streams_or_deletes_its_folder_ends_normally(
    jobs: Harness,
) -> None:
    jobs.py(1, "import os; [os.close(n) for n in (0, 1, 2)]; os._exit(3)")
    jobs.sh(2, 'rm -rf "$PWD"; exit 4')
    jobs.sh(3, "rm -f ../3.log; echo unseen; exit 5")
    assert [await jobs.code(n) for n in (1, 2, 3)] == [3, 4, 5]
    jobs.sh(4, "exit 6")
    assert await jobs.code(4) == 6


async def test_a_thousand_children_of_one_job_are_all_killed(jobs: Harness) -> None:
    jobs.py(
        1,
        "import os,time\n"
        "for n in range(1000):\n"
        "    if os.fork() == 0: time.sleep(1000)\n"
        "print(n, flush=True); time.sleep(1000)",
    )
    await jobs.read_pid(1)
    children = procfs.descendants(jobs.pids[1])
    assert len(children) == 1000
    jobs.warden.kill(1)
    assert await jobs.code(1) == 137
    await until(lambda: not any(map(is_alive, children)))


async def test_hundreds_of_jobs_at_once_all_end_with_their_own_code(jobs: Harness) -> None:
    for n in range(400):
        jobs.sh(n, f"exit {n % 100}")
    await until(lambda: len(jobs.exits) == 400, last=lambda: len(jobs.exits))
    assert all(jobs.exits[n]["exit_code"] == n % 100 for n in range(400))


async def test_signals_to_the_warden_do_not_harm_its_jobs(jobs: Harness) -> None:
    jobs.sh(1, "echo $$; sleep 1000")
    job = await jobs.read_pid(1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(jobs.warden.pid, signum)
    jobs.sh(2, "exit 9")
    assert await jobs.code(2) == 9
    assert is_alive(job)


async def test_when_the_warden_is_killed_so_is_everything_it_started(jobs: Harness) -> None:
    jobs.sh(1, "sleep 1000 & echo $!; wait")
    grandchild = await jobs.read_pid(1)
    os.kill(jobs.warden.pid, signal.SIGKILL)
    await until(lambda: jobs.is_lost)
    await until(lambda: not is_alive(grandchild) and not is_alive(jobs.pids[1]))
    for pid in (grandchild, jobs.pids[1]):  # this process's orphans, unless they had a parent yet
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)  # noqa: ASYNC222 - dead already


async def test_closing_leaves_nothing(tmp_path: Path) -> None:
    jobs = Harness(tmp_path)
    jobs.py(1, DAEMON.format(hide=HIDE, then="time.sleep(1000)"))
    jobs.sh(2, "trap '' TERM; sleep 1000")
    daemon = await jobs.read_pid(1)
    await until(lambda: 2 in jobs.pids)
    await jobs.warden.close()
    assert not any(map(is_alive, (daemon, *jobs.pids.values(), jobs.warden.pid)))


WORKER = """
import asyncio, sys
from pathlib import Path
from titan.exec.warden_client import Warden
class Reports:
    def on_started(self, attempt, pid): print(pid, flush=True)
async def main():
    warden = Warden(Reports())
    root = Path(sys.argv[1])
    env = {b'TITAN_ATTEMPT': b'1', b'PATH': b'/usr/bin:/bin'}
    line = b"trap '' TERM HUP; setsid sleep 1000 & sleep 1000"
    warden.spawn(1, argv=[b'/bin/bash', b'-c', line], cwd=root, env=env, log=root / 'log')
    print(warden.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_sigkill_of_the_worker_kills_all_jobs_and_the_warden(tmp_path: Path) -> None:
    command: Any = [sys.executable, "-c", WORKER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        warden, job = int(worker.stdout.readline()), int(worker.stdout.readline())
        family = _wait_for(lambda: _family(job, size=3))
        worker.kill()
    _wait_for(lambda: not any(map(is_alive, (warden, *family))))


def _family(job: int, *, size: int) -> list[int]:
    found = [job, *procfs.descendants(job)]
    return found if len(found) == size else []


def _wait_for(condition: Any) -> Any:
    deadline = time.monotonic() + 20
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result
