"""Jobs that behave as badly as they can: each ends as what it is, and the worker goes on.

Archives that are corrupt or traverse are in `test_worker.py` and `test_archives.py`, images that do not
exist in `test_container.py`, a gigabyte of output and wrong clocks in `tests/cluster/test_bad_jobs.py`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.engines import needs_bubblewrap
from tests.exec.fake_master import FakeMaster
from tests.exec.running import Running, StartWorker, log_text, result
from tests.exec.support import is_alive, order, until
from titan.limits import MIB

pytestmark = pytest.mark.timeout(60)

every_fence = pytest.mark.parametrize(
    "isolation", ["process", pytest.param("sandbox", marks=needs_bubblewrap)]
)


async def goes_on(master: FakeMaster, running: Running) -> None:
    master.say(order(99, shell=b"echo well"))
    assert (await result(master, 99)).exit_code == 0
    assert log_text(running, 99) == "well\n"
    running.worker._core.validate_state()
    assert running.worker._core.is_idle()


@every_fence
async def test_a_job_that_forks_and_detaches_is_over_when_its_main_process_is(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start()
    code = (
        "import os, sys\n"
        "if os.fork(): os._exit(4)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "os.closerange(0, 100)\n"
        "os.execve('/bin/sleep', ['sleep', '983.5'], {})\n"
    )
    master.say(order(1, argv=(b"python3", b"-c", code.encode()), isolation=isolation))
    assert (await result(master, 1)).exit_code == 4, log_text(running, 1)
    await until(lambda: not _with_word(b"983.5"))
    await goes_on(master, running)


@every_fence
async def test_a_job_that_ignores_term_is_killed_after_the_grace_period(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start(kill_grace_ms=100)
    line = b"trap '' TERM; echo up; while :; do sleep 0.02; done"
    master.say(order(1, shell=line, isolation=isolation, timeout_ms=700))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (137, "timeout")
    await goes_on(master, running)


@every_fence
async def test_a_job_that_closes_its_streams_ends_with_its_own_code(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start()
    line = b"exec 0<&- 1>&- 2>&-; sleep 0.05; exit 6"
    master.say(order(1, shell=line, isolation=isolation))
    assert (await result(master, 1)).exit_code == 6
    await goes_on(master, running)


@every_fence
@pytest.mark.parametrize("signum", [6, 9, 15])
async def test_a_job_that_ends_by_a_signal_says_which(
    master: FakeMaster, start: StartWorker, isolation: str, signum: int
) -> None:
    running = await start()
    master.say(order(1, shell=f"kill -{signum} $$".encode(), isolation=isolation))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (128 + signum, "")
    await goes_on(master, running)


@every_fence
async def test_a_job_that_deletes_its_folder_harms_only_itself(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start()
    line = b'rm -rf "$PWD" "$TMPDIR"/* "$(dirname "$PWD")"/* 2>/dev/null; exit 5'
    master.say(order(1, shell=line, isolation=isolation))
    assert (await result(master, 1)).exit_code == 5
    await goes_on(master, running)


@every_fence
async def test_a_thousand_children_are_all_gone_with_their_job(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start(kill_grace_ms=100)
    line = b"for n in $(seq 1000); do sleep 984.5 & done; echo up; wait"
    master.say(order(1, shell=line, isolation=isolation, timeout_ms=15_000))
    await until(lambda: log_text(running, 1) == "up\n", timeout_s=30)
    children = await until(lambda: (found := _with_word(b"984.5"))[999:] and found)
    await running.worker.stop()
    assert not any(map(is_alive, children))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@every_fence
async def test_a_job_that_fills_the_disk_is_told_and_its_space_comes_back(
    master: FakeMaster, start: StartWorker, small_disk: Path, isolation: str
) -> None:
    running = await start(data_dir=small_disk / "data")
    line = b"dd if=/dev/zero of=$PWD/big bs=1M 2>&1 | grep -q 'No space left' && exit 28"
    master.say(order(1, shell=line, isolation=isolation))
    assert (await result(master, 1)).exit_code == 28, log_text(running, 1)
    await until(lambda: shutil.disk_usage(small_disk).free > 16 * MIB)
    await goes_on(master, running)


async def test_a_disk_filled_by_output_stops_neither_the_worker_nor_the_result(
    master: FakeMaster, start: StartWorker, small_disk: Path
) -> None:
    running = await start(data_dir=small_disk / "data", logs_bytes_max=8 * MIB)
    master.say(order(1, shell=b"yes 2>/dev/null || exit 29; exit 29"))
    assert (await result(master, 1)).exit_code == 29
    await goes_on(master, running)


def _with_word(word: bytes) -> list[int]:
    """Processes that run `sleep WORD`."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[-2:-1] == [word] and words[0].endswith(b"sleep"):
            found.append(int(folder.name))
    return found
