"""Jobs in containers of a real engine, with an image made of the machine's own files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exec.engines import IMAGE, OPTIONS, TestEngine, make_engine
from tests.exec.fake_master import FakeMaster
from tests.exec.running import StartWorker, bundle, log_text, result
from tests.exec.support import is_alive, order, until
from titan.errors import UserError
from titan.exec import procfs
from titan.exec.config import WorkerConfig
from titan.wire.messages import KillAttempt

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    folder = tmp_path_factory.mktemp("engine")
    made = make_engine(folder)
    yield made
    assert made.containers() == []
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def config(engine: TestEngine) -> dict[str, Any]:
    return {"container_engine": engine.command, "container_options": OPTIONS}


def contained(attempt: int, **fields: Any) -> Any:
    fields.setdefault("image", IMAGE)
    return order(attempt, isolation="container", **fields)


async def test_a_job_runs_in_the_image_with_its_files_environment_and_output(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], engine: TestEngine
) -> None:
    running = await start(**config)
    assert "container" in master.registers[0].capabilities
    line = """
    busybox | head -1 | cut -c1-7; pwd; cat data.txt; echo made > made.txt && cat made.txt
    echo "$VALUE|$TITAN_JOB_ID|$1"; test -e /usr/lib && echo host; echo -n 42 > $TITAN_OUTPUT
    echo two; echo "$LINES2"; exit 3
    """
    digest = bundle(master, data_txt="given\n")
    env = {"VALUE": "a b=c#d", "LINES2": "x\ny"}
    master.say(contained(1, shell=line.encode(), bundle=digest, env=env, args=(b"arg",)))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause, ended.output) == (3, "", b"42"), log_text(running, 1)
    assert log_text(running, 1) == ("BusyBox\n/job/cwd\ngiven\nmade\na b=c#d|job1|arg\ntwo\nx\ny\n")
    await until(lambda: not list((running.data / "private" / "told").iterdir()))


async def test_scripts_run_by_the_shell_of_the_image(
    master: FakeMaster, start: StartWorker, config: dict[str, Any]
) -> None:
    running = await start(**config)
    digest = bundle(master, a_sh="echo script $1")
    master.say(contained(1, file="a.sh", bundle=digest, args=(b"x",)))
    assert (await result(master, 1)).exit_code == 0, log_text(running, 1)
    assert log_text(running, 1) == "script x\n"


async def test_a_container_has_no_network_unless_it_asks(
    master: FakeMaster, start: StartWorker, config: dict[str, Any]
) -> None:
    running = await start(**config, container_network="host")
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = f"nc 127.0.0.1 {server.getsockname()[1]} -e true".encode()
        master.say(contained(1, shell=line))
        assert (await result(master, 1)).exit_code == 1, log_text(running, 1)
        master.say(contained(2, shell=line, network=True))
        assert (await result(master, 2)).exit_code == 0, log_text(running, 2)


async def test_a_term_reaches_the_job_and_its_own_exit_code_comes_back(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], engine: TestEngine
) -> None:
    running = await start(**config, kill_grace_ms=20_000)
    line = b"trap 'echo caught; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    master.say(contained(1, shell=line, timeout_ms=4000))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (7, "timeout"), log_text(running, 1)
    assert log_text(running, 1) == "up\ncaught\n"
    assert engine.containers() == []


async def test_killing_a_job_removes_its_container(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], engine: TestEngine
) -> None:
    running = await start(**config)
    line = b"trap '' TERM; echo up; while :; do sleep 0.05; done"
    master.say(contained(1, shell=line, resources={"memory_mb": 64}))
    await until(lambda: log_text(running, 1) == "up\n")
    (name,) = engine.containers()
    assert running.worker._data.worker in name
    (pid,) = _inside(engine)
    master.say(KillAttempt(attempt=1, epoch=1, reason=""))
    await until(running.worker._core.is_idle)
    assert not is_alive(pid)
    assert engine.containers() == []


async def test_a_killed_worker_leaves_no_container(
    master: FakeMaster, tmp_path: Path, engine: TestEngine
) -> None:
    """Its warden outlives it for a moment and removes them."""
    program = Path(__file__).with_name("worker_process.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), master.address, str(tmp_path / "data"), engine.command,
        *OPTIONS, env={**os.environ, "PYTHONPATH": str(program.parents[2])},
    )  # fmt: skip
    try:
        await until(lambda: master.registers)
        master.say(contained(1, shell=b"trap '' TERM; while :; do sleep 0.05; done"))
        await until(lambda: 1 in [a for beat in master.beats for a in beat.started])
        pid = await until(lambda: next(iter(_inside(engine)), None))
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        await until(lambda: not is_alive(pid))
        await until(lambda: engine.containers() == [], last=engine.containers)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_worker_removes_the_containers_of_its_earlier_life(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], engine: TestEngine
) -> None:
    running = await start(**config)
    master.say(contained(1))
    assert (await result(master, 1)).exit_code == 0, log_text(running, 1)
    worker = running.worker._data.worker
    await running.stop()
    label = ("--label", f"titan.worker={worker}")
    made = ("create", "--network", "none", *OPTIONS, *label, "--name", "left", IMAGE, "true")
    engine.run(*made)
    engine.run(*("stranger" if w == "left" else w for w in made if w not in label))
    again = await start(**config)
    await until(lambda: "left" not in engine.containers())
    master.say(contained(2))
    assert (await result(master, 2)).exit_code == 0, log_text(again, 2)
    assert engine.containers() == ["stranger"]
    engine.run("rm", "stranger")


async def test_too_much_memory_is_called_so(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], engine: TestEngine
) -> None:
    running = await start(**config)
    if running.worker._runner._fences._has.cgroups.missing.get("memory"):
        pytest.skip("no control group for memory on this machine")
    line = b"echo up; dd if=/dev/zero of=/dev/null bs=200M count=1"
    master.say(contained(1, shell=b"exec " + line[9:], resources={"memory_mb": 32}))
    ended = await result(master, 1)
    assert ended.cause == "out_of_memory", (ended, log_text(running, 1))
    assert "32 MiB" in ended.detail
    assert engine.containers() == []


async def test_open_files_of_a_container_are_limited(
    master: FakeMaster, start: StartWorker, config: dict[str, Any]
) -> None:
    running = await start(**config)
    master.say(contained(1, shell=b"ulimit -n", limits={"open_files": 77}))
    assert (await result(master, 1)).exit_code == 0, log_text(running, 1)
    assert log_text(running, 1) == "77\n"


@pytest.mark.parametrize("policy", ["never", "missing"])
async def test_an_image_that_does_not_exist_fails_before_the_start_with_the_reason(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], policy: str
) -> None:
    await start(**config, container_pull=policy, container_pull_timeout_s=20)
    image = "localhost:1/nobody/has:this"
    master.say(contained(1, image=image))
    master.say(order(2))
    assert (await result(master, 2)).exit_code == 0
    ended = await result(master, 1)
    assert (ended.cause, ended.exit_code) == ("not_prepared", -1)
    assert image in ended.detail


async def test_fetching_an_image_has_a_deadline_and_leaves_no_process(
    master: FakeMaster, start: StartWorker, config: dict[str, Any]
) -> None:
    running = await start(**config, container_pull_timeout_s=1.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        master.say(contained(1, image=f"127.0.0.1:{server.getsockname()[1]}/slow:1"))
        ended = await result(master, 1)
    assert ended.cause == "not_prepared"
    assert "did not end within 1.5 s" in ended.detail
    await until(lambda: not procfs.descendants(running.worker._runner._warden.pid))


async def test_an_engine_that_is_broken_fails_the_job_before_it_starts(
    master: FakeMaster, start: StartWorker, tmp_path: Path
) -> None:
    broken = tmp_path / "podman"
    broken.write_text("#!/bin/sh\necho 'Error: the storage is on fire' >&2\nexit 125\n")
    broken.chmod(0o755)
    await start(container_engine=str(broken))
    assert "container" in master.registers[0].capabilities
    master.say(contained(1))
    ended = await result(master, 1)
    assert (ended.cause, ended.exit_code) == ("not_prepared", -1)
    assert "the storage is on fire" in ended.detail


async def test_an_engine_that_breaks_at_the_start_is_no_failure_of_the_job(
    master: FakeMaster, start: StartWorker, config: dict[str, Any], engine: TestEngine
) -> None:
    options = ("--runtime-does-not-know-this",)
    running = await start(**{**config, "container_options": options})
    master.say(contained(1))
    ended = await result(master, 1)
    assert ended.cause == "not_prepared", (ended, log_text(running, 1))
    assert "runtime-does-not-know-this" in ended.detail


async def test_without_an_engine_a_job_fails_before_it_starts(
    master: FakeMaster, start: StartWorker
) -> None:
    await start(container_engine="no-such-engine")
    assert "container" not in master.registers[0].capabilities
    master.say(contained(1))
    ended = await result(master, 1)
    assert ended.cause == "not_prepared"
    assert "there is no no-such-engine in PATH" in ended.detail


def test_a_pull_policy_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing, always, never"):
        WorkerConfig(masters=("h:1",), data_dir=tmp_path, container_pull="sometimes")


def _inside(engine: TestEngine) -> list[int]:
    """The processes with number 1 of the running containers."""
    return [int(pid) for name in engine.containers() if (pid := _pid(engine, name)) != "0"]


def _pid(engine: TestEngine, name: str) -> str:
    return engine.run("inspect", "--format", "{{.State.Pid}}", name)
