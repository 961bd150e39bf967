"""A whole worker with services, against a master over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.exec.fake_master import FakeMaster
from tests.exec.support import order, until
from titan.cli.local import quiet_ports
from titan.exec.config import WorkerConfig
from titan.exec.worker import Worker
from titan.spec.service import HealthSpec, RestartSpec
from titan.wire.messages import AttemptEnded, KillAttempt, LeaveNow, RunAttempt

SERVE = """
import http.server, os, pathlib, sys
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if pathlib.Path(sys.argv[1]).exists() else 200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["TITAN_PORT"])), Quiet).serve_forever()
"""


@pytest.fixture
async def master() -> AsyncIterator[FakeMaster]:
    fake = FakeMaster()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture
async def worker(tmp_path: Path, master: FakeMaster) -> AsyncIterator[Worker]:
    made = Worker(
        WorkerConfig(
            masters=(master.address,), data_dir=tmp_path / "data", slots=2, kill_grace_ms=200
        )
    )
    task = asyncio.create_task(made.run(), name="worker under test")
    await until(lambda: master.beats or task.done())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def service(attempt: int, port: int, sick: Path, **fields: Any) -> RunAttempt:
    """An HTTP server that is sick as long as a file exists."""
    argv = (sys.executable.encode(), b"-c", SERVE.encode(), str(sick).encode())
    made = order(attempt, type="service", argv=argv, **fields)
    return msgspec.structs.replace(made, port=port)


def free_port() -> int:
    return quiet_ports(1)[0][0]


def quick(**fields: Any) -> HealthSpec:
    return HealthSpec(kind="http", interval_ms=100, unhealthy_after=2, **fields)


def told(master: FakeMaster, attempt: int) -> list[str]:
    return [one.health for one in master.health if one.attempt == attempt]


async def test_changes_of_health_are_told_and_what_stays_sick_is_killed(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    sick = tmp_path / "sick"
    restart = RestartSpec(unhealthy_ms=300)
    master.say(service(1, free_port(), sick, health=quick(), restart=restart))
    await until(lambda: told(master, 1) == ["healthy"], last=lambda: master.health)
    sick.touch()
    await until(lambda: told(master, 1) == ["healthy", "unhealthy"], last=lambda: master.health)
    assert master.health[-1].detail == "GET /: status 503"
    result = await until(lambda: master.result(1))
    assert (result.cause, result.exit_code) == ("unhealthy", 143)


async def test_health_is_told_again_to_the_next_leader(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    master.say(service(1, free_port(), tmp_path / "no"))
    await until(lambda: told(master, 1) == ["healthy"])
    master.cut()
    await until(lambda: told(master, 1) == ["healthy", "healthy"])
    master.say(KillAttempt(attempt=1, epoch=1, reason="stopped"))
    await until(lambda: not worker._core.holds())
    master.cut()
    await until(lambda: len(master.registers) == 3)
    assert told(master, 1) == ["healthy", "healthy"]


async def test_a_command_asks_in_the_services_folder_with_its_environment(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    check = f'test "$TITAN_PORT" && echo "$TITAN_JOB_ID $PWD" > {tmp_path}/asked'
    health = HealthSpec(kind="command", shell=check.encode(), interval_ms=100)
    master.say(service(1, free_port(), tmp_path / "no", id="web", health=health))
    await until(lambda: told(master, 1) == ["healthy"])
    name, folder = (tmp_path / "asked").read_text().split()
    assert name == "web"
    assert folder.startswith(str(tmp_path / "data/work"))


async def test_a_command_that_hangs_is_killed_and_counts_as_a_failure(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    health = HealthSpec(
        kind="command",
        shell=f"echo $$ >> {pids}; sleep 100".encode(),
        interval_ms=100,
        timeout_ms=150,
        start_period_ms=0,
        unhealthy_after=2,
    )
    master.say(service(1, free_port(), tmp_path / "no", health=health))
    await until(lambda: told(master, 1) == ["unhealthy"])
    assert master.health[-1].detail == "no answer within 150 ms"
    first = pids.read_text().split()[0]
    await until(lambda: not Path(f"/proc/{first}").exists())


async def test_a_port_of_a_stranger_fails_the_start_and_names_who_has_it(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        master.say(service(1, port, tmp_path / "no"))
        result: AttemptEnded = await until(lambda: master.result(1))
    assert (result.cause, result.exit_code) == ("port_in_use", -1)
    assert result.detail.startswith(f"port {port} is in use by process {os.getpid()} (")


async def test_the_next_attempt_waits_for_one_that_is_still_being_killed(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    port = free_port()
    master.say(service(1, port, tmp_path / "no"))
    await until(lambda: told(master, 1) == ["healthy"])
    master.say(KillAttempt(attempt=1, epoch=1, reason="stopped"))
    master.say(service(2, port, tmp_path / "no"))
    await until(lambda: told(master, 2) == ["healthy"], last=lambda: master.results)


async def test_a_service_has_no_time_out_and_a_worker_that_drains_moves_it(
    master: FakeMaster, worker: Worker, tmp_path: Path
) -> None:
    master.say(service(1, free_port(), tmp_path / "no"))
    await until(lambda: told(master, 1) == ["healthy"])
    assert worker._core.due_ms() is None
    master.say(LeaveNow(drain=True))
    result = await until(lambda: master.result(1))
    assert result.cause == "moved"
    await until(lambda: master.goodbyes == 1)


async def test_a_worker_says_where_its_services_are_reached(
    master: FakeMaster, worker: Worker
) -> None:
    (register,) = master.registers
    assert (register.host, register.ports) == ("127.0.0.1", (31_000, 31_999))
    assert str(Path("/proc/self/ns/net").stat().st_ino) in register.machine
