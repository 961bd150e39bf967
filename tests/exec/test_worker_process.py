"""A worker as a real process, killed and stopped as real processes are."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.exec.fake_master import FakeMaster
from tests.exec.support import RUN, is_alive, order, until
from titan.exec import procfs

StartProcess = Callable[[], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def master() -> AsyncIterator[FakeMaster]:
    fake = FakeMaster()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture
async def start(tmp_path: Path, master: FakeMaster) -> AsyncIterator[StartProcess]:
    processes: list[asyncio.subprocess.Process] = []

    async def start_process() -> asyncio.subprocess.Process:
        before = len(master.registers)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), master.address, str(tmp_path / "data")
        )
        processes.append(process)
        await until(lambda: len(master.registers) > before)
        return process

    yield start_process
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


SCRIPT = Path(__file__).with_name("worker_process.py")


async def running_family(root: Path, attempt: int) -> list[int]:
    """The pids that the job printed."""
    path = root / "data" / "logs" / RUN / f"job{attempt}.{attempt}.log"
    words = await until(lambda: path.exists() and path.read_text().endswith("\n") and path)
    return [int(word) for word in words.read_text().split()]


STUBBORN = b"trap '' TERM HUP INT; setsid sleep 1000 & echo $$ $!; sleep 1000"


async def test_after_a_sigkill_no_job_lives_and_unconfirmed_results_are_sent_by_the_next_life(
    tmp_path: Path, master: FakeMaster, start: StartProcess
) -> None:
    process = await start()
    master.confirms = False
    master.say(order(1, shell=STUBBORN))
    master.say(order(2, shell=b"exit 5"))
    pids = await running_family(tmp_path, 1)
    await until(lambda: master.result(2))
    wardens = procfs.children(process.pid)
    process.kill()
    await until(lambda: not any(map(is_alive, (*pids, *wardens))))
    master.results.clear()
    await start()
    assert (await until(lambda: master.result(2))).exit_code == 5
    first, second = master.registers
    assert second.worker == first.worker
    assert second.incarnation != first.incarnation
    assert second.holds == (2,)


async def test_when_worker_and_warden_die_together_the_next_life_kills_what_they_left(
    tmp_path: Path, master: FakeMaster, start: StartProcess
) -> None:
    process = await start()
    master.say(order(1, shell=STUBBORN))
    pids = await running_family(tmp_path, 1)
    (warden,) = procfs.children(process.pid)
    process.send_signal(signal.SIGSTOP)  # so that it cannot notice and clean up
    os.kill(warden, signal.SIGKILL)
    process.kill()
    await process.wait()
    assert all(map(is_alive, pids))
    await start()
    await until(lambda: not any(map(is_alive, pids)))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_with_a_goodbye_and_nothing_left(
    tmp_path: Path, master: FakeMaster, start: StartProcess, signum: signal.Signals
) -> None:
    process = await start()
    master.say(order(1, shell=STUBBORN))
    pids = await running_family(tmp_path, 1)
    process.send_signal(signum)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert not any(map(is_alive, pids))
    await until(lambda: master.goodbyes == 1)


async def test_a_drain_signal_lets_running_jobs_end(
    tmp_path: Path, master: FakeMaster, start: StartProcess
) -> None:
    process = await start()
    go = tmp_path / "go"
    line = b"echo $$; while [ ! -e %s ]; do sleep 0.02; done; exit 8" % str(go).encode()
    master.say(order(1, shell=line))
    await running_family(tmp_path, 1)
    process.send_signal(signal.SIGUSR1)
    master.say(order(2, argv=(b"true",)))
    go.touch()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert master.result(1).exit_code == 8  # type: ignore[union-attr]
