"""Services on real clusters: kept alive, moved, replaced, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, kill, titan, wait_until
from tests.cluster.pipelines import write_pipeline
from titan.cli.local import quiet_ports
from titan.errors import DeployFailed
from titan.fsm.queries import ServiceView
from titan.sdk import TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

SERVER = """
import http.server, os, pathlib, subprocess, sys
version, pids = sys.argv[1], pathlib.Path(sys.argv[2])
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
with pids.open("a") as file:
    file.write(f"{os.getpid()} {child.pid}\\n")
if version == "mute":
    child.wait()
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(version.encode())
    def log_message(self, *words):
        pass
address = ("127.0.0.1", int(os.environ["TITAN_PORT"]))
http.server.ThreadingHTTPServer(address, Quiet).serve_forever()
"""
QUICK = {"health": {"http": "/", "interval": 0.2}, "restart": {"backoff": 0.1}}


def server(folder: Path, version: str = "v1", *, port: int = 0, **fields: Any) -> dict[str, Any]:
    """A service that answers with its version and has a child in another session."""
    command = [sys.executable, "-c", SERVER, version, str(folder / "pids")]
    return {"id": "web", "type": "service", "command": command, "port": port, **QUICK, **fields}


def pids(folder: Path) -> list[list[int]]:
    """The processes of every life so far: the service and its child."""
    file = folder / "pids"
    lines = file.read_text().splitlines() if file.exists() else []
    return [[int(word) for word in line.split()] for line in lines]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def all_dead(dead: list[int]) -> None:
    async def look() -> list[int]:
        return [pid for pid in dead if is_alive(pid)]

    await wait_until(look, lambda alive: not alive, timeout_s=15)


def ask(address: str, path: str = "") -> str:
    with urllib.request.urlopen(f"http://{address}/{path}", timeout=5) as answer:
        return str(answer.read().decode())


async def run(cluster: Cluster, *jobs: dict[str, Any], folder: Path) -> str:
    return str(await cluster.client.submit_yaml(write_pipeline(folder / "pipe.yaml", list(jobs))))


async def is_healthy(cluster: Cluster, *, after: int = 0, not_on: str = "") -> ServiceView:
    """The service, once an attempt later than `after` is healthy."""
    view = await cluster.wait_until(
        lambda: cluster.client.get_service("web"),
        lambda view: view.health == "healthy" and view.attempt > after and view.worker != not_on,
        timeout_s=30,
    )
    assert isinstance(view, ServiceView)
    return view


async def test_a_service_is_kept_alive_found_and_stopped_with_all_it_started(
    single: Cluster, tmp_path: Path
) -> None:
    user = {"id": "user", "command": f"echo $TITAN_SERVICE_WEB > {tmp_path}/address",
            "depends_on": ["web"]}  # fmt: skip
    ident = await run(single, server(tmp_path), user, folder=tmp_path)
    view = await is_healthy(single)
    await single.wait_until(
        lambda: single.jobs(ident), lambda jobs: jobs["user"].state == "COMPLETED", timeout_s=15
    )
    assert (tmp_path / "address").read_text().strip() == view.address
    assert ask(view.address) == "v1"

    (first,) = pids(tmp_path)
    os.kill(first[0], signal.SIGKILL)
    again = await is_healthy(single, after=view.attempt)
    await all_dead(first)
    assert (again.address, again.restarts, again.state) == (view.address, 1, "RUNNING")
    assert ask(again.address) == "v1"

    code, out, _err = await titan("services", "--masters", ",".join(single.addresses))
    assert code == 0
    assert f"healthy at {view.address}" in out
    told = json.loads(ask(single.masters[0].http, "api/v1/services/web"))
    assert (told["address"], told["health"]) == (view.address, "healthy")
    assert await single.client.stop_service("DAG-web") == "STOPPED: DAG-web"
    await all_dead([pid for life in pids(tmp_path) for pid in life])
    run_view = await single.run_view(ident)
    assert (run_view.state, run_view.over) == ("COMPLETED", True)
    assert len(pids(tmp_path)) == 2
    assert await single.client.list_services() == []


async def test_a_port_conflict_fails_fast_and_names_the_holder(
    single: Cluster, tmp_path: Path
) -> None:
    (port, strange), *_ = quiet_ports(1)
    ident = await run(single, server(tmp_path, port=port), folder=tmp_path)
    view = await is_healthy(single)
    other = server(tmp_path, port=port) | {"id": "other"}
    loser = await run(single, other, folder=tmp_path)
    await single.wait_over(loser, timeout_s=10)
    assert (await single.jobs(loser))["other"].reason == (
        f"port {port} of worker {view.worker} is held by service 'web' of run {ident} "
        f"(attempt {view.attempt})"
    )
    listening = await asyncio.start_server(lambda r, w: None, "127.0.0.1", strange)
    async with listening:
        other = server(tmp_path, port=strange) | {"id": "other"}
        loser = await run(single, other, folder=tmp_path)
        await single.wait_over(loser, timeout_s=10)
    reason = (await single.jobs(loser))["other"].reason
    assert reason.startswith(
        f"its port is in use: port {strange} is in use by process {os.getpid()} ("
    )


async def test_a_service_moves_when_its_worker_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    await run(cluster, server(tmp_path), folder=tmp_path)
    view = await is_healthy(cluster)
    names = {worker.id: worker.name for worker in await cluster.list_workers()}
    kill(next(one for one in cluster.workers if one.name == names[view.worker]))
    moved = await is_healthy(cluster, after=view.attempt, not_on=view.worker)
    await all_dead(pids(tmp_path)[0])
    assert moved.restarts == 0
    assert ask(moved.address) == "v1"


async def test_a_bad_version_on_a_fixed_port_gives_way_to_the_old_one(
    single: Cluster, tmp_path: Path
) -> None:
    (port, _), *_ = quiet_ports(1)
    file = write_pipeline(tmp_path / "web.yaml", [server(tmp_path, port=port)])
    old = await single.client.deploy_services(file)
    view = await is_healthy(single)
    assert (view.run, view.version, view.address) == (old.id, "current", f"127.0.0.1:{port}")
    bad = write_pipeline(tmp_path / "bad.yaml", [server(tmp_path, "mute", port=port)])
    masters = ("--masters", ",".join(single.addresses))
    code, _out, err = await titan("services", "deploy", str(bad), "--timeout", "2", *masters)
    assert code == 1
    assert "it was not healthy in time: nobody answers at 127.0.0.1:" in err
    assert f"; the version of run {old} stays" in err
    view = await is_healthy(single, after=view.attempt)
    assert (view.run, ask(view.address)) == (old.id, "v1")
    await all_dead([pid for life in pids(tmp_path)[:-1] for pid in life])


async def test_a_replacement_goes_on_when_the_leader_dies_in_the_middle(
    cluster: Cluster, tmp_path: Path
) -> None:
    file = write_pipeline(tmp_path / "web.yaml", [server(tmp_path)])
    old = await cluster.client.deploy_services(file)
    before = await is_healthy(cluster)
    gate = tmp_path / "gate"
    slow = server(tmp_path, "v2")
    slow["health"] = {"command": f"test -e {gate}", "interval": 0.2}
    file = write_pipeline(tmp_path / "new.yaml", [slow])
    deploying = asyncio.create_task(cluster.client.deploy_services(file, 60))

    async def lives() -> int:
        return len(pids(tmp_path))

    await wait_until(lives, lambda count: count == 2, timeout_s=20)
    await cluster.kill_leader()
    assert ask(before.address) == "v1"
    gate.touch()
    new = await asyncio.wait_for(deploying, 40)
    view = await cluster.client.get_service("web")
    assert (view.run, view.version, ask(view.address)) == (new.id, "current", "v2")
    await all_dead(pids(tmp_path)[0])
    jobs = await cluster.jobs(old.id)
    assert (jobs["web"].state, jobs["web"].reason) == ("COMPLETED", f"replaced by run {new}")

    await cluster.client.set_worker_mode(view.worker, "draining")
    moved = await is_healthy(cluster, after=view.attempt, not_on=view.worker)

    async def look() -> str:
        return ask(moved.address)  # what its health command says is not that it listens

    await wait_until(look, lambda said: said == "v2", timeout_s=10)


async def test_python_stops_and_deploys_too(single: Cluster, tmp_path: Path) -> None:
    def stop() -> str:
        from titan.sdk import TitanClient

        with TitanClient(single.addresses) as client:
            job = TitanJob(
                "idle", command="sleep 1000", job_type="SERVICE", health={"command": "true"}
            )
            handle = client.submit_job(job)
            for change in handle.watch():
                if any(each.health == "healthy" for each in change.jobs):
                    break
            bad = tmp_path / "bad.yaml"
            write_pipeline(bad, [{"id": "idle", "type": "service", "port": 0, "command": "exit 7",
                                  "restart": {"backoff": 0.01, "backoff_cap": 0.02}}])  # fmt: skip
            with pytest.raises(DeployFailed, match="exit code 7; it ended 5 times in a row"):
                client.deploy_services(bad)
            assert client.get_service("idle").run == handle.id
            return client.stop_service("idle")

    assert await asyncio.to_thread(stop) == "STOPPED: DAG-idle"
