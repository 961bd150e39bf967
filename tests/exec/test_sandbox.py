"""Jobs in a sandbox: what they see, what they do not, and that they end as others do."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.engines import needs_bubblewrap
from tests.exec.fake_master import FakeMaster
from tests.exec.running import StartWorker, bundle, log_text, result
from tests.exec.support import is_alive, order, until
from titan.wire.messages import KillAttempt

pytestmark = [needs_bubblewrap, pytest.mark.timeout(60)]


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_worker_with_bubblewrap_offers_sandboxes(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    assert "sandbox" in master.registers[0].capabilities


async def test_a_sandboxed_job_sees_its_files_and_nothing_of_the_worker(
    master: FakeMaster, start: StartWorker, tmp_path: Path
) -> None:
    running = await start()
    secret = tmp_path / "secret"
    secret.write_text("x")
    line = f"""
    ls -A /job; pwd; cat data.txt; echo made > made.txt && cat made.txt; echo $HOME $TMPDIR
    touch $TITAN_CHECKPOINT_DIR/.kept && echo keeps; touch /tmp/mine && ls /tmp
    for path in {secret} {running.data} /home /var /etc/shadow /sys; do
        test -e $path && echo "sees $path"
    done
    touch /usr/x 2>/dev/null && echo "writes to the system"
    ls /proc | grep -c '^[0-9]'; ls /proc/self/fd
    echo -n 42 > $TITAN_OUTPUT; exit 3
    """
    digest = bundle(master, data_txt="given")
    master.say(order(1, shell=line.encode(), isolation="sandbox", bundle=digest))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause, ended.output) == (3, "", b"42"), log_text(running, 1)
    text = log_text(running, 1)
    assert "sees" not in text
    assert "writes" not in text
    lines = text.split()
    assert lines[:3] == ["checkpoint", "cwd", "tmp"]
    assert "/job/cwd" in lines
    assert "givenmade" in lines
    assert "mine" in lines
    assert "keeps" in lines
    processes, *fds = lines[lines.index("mine") + 1 :]
    assert int(processes) <= 5  # init, the shell, and what it just ran
    assert fds == ["0", "1", "2", "3"]  # 3 is the folder that `ls` reads
    await until(lambda: not list((running.data / "private" / "told").iterdir()))


async def test_python_runs_in_a_sandbox_with_titan_at_hand(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    digest = bundle(
        master, a_py="import os, titan.sdk; print(os.getcwd(), titan.sdk.current().job)"
    )
    master.say(order(1, file="a.py", isolation="sandbox", bundle=digest))
    assert (await result(master, 1)).exit_code == 0, log_text(running, 1)
    assert log_text(running, 1) == "/job/cwd job1\n"


async def test_the_network_is_there_only_for_those_who_ask(
    master: FakeMaster, start: StartWorker, listener: int
) -> None:
    running = await start()
    connect = f"exec 5<>/dev/tcp/127.0.0.1/{listener} && echo reached".encode()
    master.say(order(1, shell=connect, isolation="sandbox"))
    master.say(order(2, shell=connect, isolation="sandbox", network=True))
    assert (await result(master, 1)).exit_code == 1
    assert (await result(master, 2)).exit_code == 0, log_text(running, 2)
    assert "reached" not in log_text(running, 1)


async def test_a_term_reaches_the_job_and_its_own_exit_code_comes_back(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start(kill_grace_ms=20_000)
    line = b"trap 'echo caught; exit 7' TERM; echo up; while :; do sleep 0.05; done 2>/dev/null"
    master.say(order(1, shell=line, isolation="sandbox", timeout_ms=1500))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (7, "timeout")
    assert log_text(running, 1) == "up\ncaught\n"


async def test_a_death_by_signal_is_one_outside_too(master: FakeMaster, start: StartWorker) -> None:
    await start()
    master.say(order(1, shell=b"kill -SEGV $$", isolation="sandbox"))
    assert (await result(master, 1)).exit_code == 128 + 11


async def test_nothing_of_a_killed_sandbox_is_left(master: FakeMaster, start: StartWorker) -> None:
    running = await start()
    line = b"trap '' TERM; setsid sleep 987 & sleep 987 & echo up; wait"
    master.say(order(1, shell=line, isolation="sandbox"))
    await until(lambda: log_text(running, 1) == "up\n")
    pids = await until(lambda: (found := _sleepers("987"))[1:] and found)
    master.say(KillAttempt(attempt=1, epoch=1, reason=""))
    await until(lambda: not any(map(is_alive, pids)))


async def test_daemons_of_a_sandbox_end_with_its_job(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    line = b"setsid env -i sleep 986 </dev/null >/dev/null 2>&1 & echo up"
    master.say(order(1, shell=line, isolation="sandbox"))
    assert (await result(master, 1)).exit_code == 0, log_text(running, 1)
    await until(lambda: not _sleepers("986"))


async def test_the_environment_of_a_job_does_not_reach_what_runs_outside(
    master: FakeMaster, start: StartWorker
) -> None:
    """LD_PRELOAD would make bubblewrap itself run the job's code, before there are any walls."""
    running = await start()
    env = {"LD_PRELOAD": "/nowhere/evil.so", "SECRET": "s3cret"}
    master.say(order(1, argv=(b"sleep", b"985"), isolation="sandbox", env=env))
    await until(lambda: _sleepers("985"))
    outer = [pid for pid in _pids() if b"--args" in _read(pid, "cmdline")]
    assert outer
    for pid in outer:
        assert b"s3cret" not in _read(pid, "cmdline")
        assert b"LD_PRELOAD" not in _read(pid, "environ")
    (inner,) = _sleepers("985")
    assert b"SECRET=s3cret" in _read(inner, "environ")
    await running.cancel()


async def test_a_program_that_cannot_be_seen_inside_is_named_with_the_way_to_show_it(
    master: FakeMaster, start: StartWorker, tmp_path: Path
) -> None:
    program = tmp_path / "tools" / "tool"
    program.parent.mkdir()
    shutil.copy("/bin/true", program)
    running = await start()
    master.say(order(1, argv=(os.fsencode(program),), isolation="sandbox"))
    ended = await result(master, 1)
    assert ended.cause == "not_prepared"
    assert f"--sandbox-bind {program.parent}" in ended.detail
    await running.stop()
    await start(sandbox_binds=(program.parent,))
    master.say(order(2, argv=(os.fsencode(program),), isolation="sandbox"))
    assert (await result(master, 2)).exit_code == 0


async def test_without_bubblewrap_a_job_fails_before_it_starts_and_may_try_elsewhere(
    master: FakeMaster, start: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.exec.isolation.sandbox.shutil.which", lambda _name: None)
    await start()
    assert "sandbox" not in master.registers[0].capabilities
    master.say(order(1, isolation="sandbox"))
    ended = await result(master, 1)
    assert (ended.cause, ended.exit_code) == ("not_prepared", -1)
    assert "bubblewrap (bwrap) is not installed" in ended.detail


def _pids() -> list[int]:
    return [int(name.name) for name in Path("/proc").iterdir() if name.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _sleepers(seconds: str) -> list[int]:
    wanted = f"sleep\0{seconds}\0".encode()
    found = [pid for pid in _pids() if _read(pid, "cmdline").endswith(wanted)]
    return [pid for pid in found if b"bwrap" not in _read(pid, "cmdline")]
