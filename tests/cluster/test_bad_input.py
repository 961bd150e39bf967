"""What bad input gets: a clear error, nothing lost, and a cluster that goes on."""

from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, titan, wait_until
from tests.cluster.pipelines import write_pipeline
from titan.cli.local import Member, quiet_ports
from titan.limits import HELLO_TIMEOUT_S, MIB

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


async def refused(cluster: Cluster, *arguments: str) -> str:
    """Run a command that must fail for a reason of the user's; what it said."""
    code, out, err = await titan(*arguments, "--masters", ",".join(cluster.addresses))
    assert code == 2, (code, out, err)
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert out == ""
    return err


async def still_works(cluster: Cluster) -> None:
    await cluster.client.store_put("alive", "yes")
    assert await cluster.client.store_get("alive") == "yes"


async def test_malformed_yaml_is_refused_with_its_place(single: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("jobs:\n  - id: a\n    command: [true\n")
    said = await refused(single, "deploy", str(path))
    assert "broken.yaml:" in said


async def test_every_mistake_of_a_file_is_told_at_once(single: Cluster, tmp_path: Path) -> None:
    jobs = [
        {"id": "a", "command": "true", "depends_on": ["c"]},
        {"id": "b", "comand": "true"},
        {"id": "c", "command": "true", "depends_on": ["a"]},
        {"id": "d", "file": "missing.py"},
    ]
    said = await refused(single, "deploy", str(write_pipeline(tmp_path / "bad.yaml", jobs)))
    assert "comand" in said
    assert "missing.py" in said
    assert "a" in said
    assert "c" in said
    assert await single.client.list_runs() == []


async def test_a_missing_pipeline_file_is_a_users_mistake(single: Cluster) -> None:
    assert "nowhere.yaml" in await refused(single, "deploy", "nowhere.yaml")


async def test_a_bundle_of_300_mib_is_refused_and_names_the_large_file(
    single: Cluster, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with (project / "data.bin").open("wb") as data:
        for _ in range(300):  # of chance, so that packing cannot make it small
            data.write(os.urandom(MIB))
    (project / "a.sh").write_text("true\n")
    (project / "pipeline.yaml").write_text("jobs: [{id: a, file: a.sh}]\n")
    assert "data.bin" in await refused(single, "deploy", str(project / "pipeline.yaml"))
    await still_works(single)


async def test_a_frame_that_lies_about_its_length_costs_only_its_connection(
    single: Cluster,
) -> None:
    host, port = single.addresses[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(struct.pack("<I", 0xFFFF_FFF0) + b"\x01" * 64)
    await writer.drain()
    async with asyncio.timeout(HELLO_TIMEOUT_S + 5):
        await reader.read()
    writer.close()
    await still_works(single)


async def test_a_client_that_says_nothing_is_closed(single: Cluster) -> None:
    host, port = single.addresses[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(HELLO_TIMEOUT_S + 5):
        await reader.read()
    assert reader.at_eof()
    writer.close()
    await still_works(single)


async def test_the_data_of_another_member_is_refused(single: Cluster) -> None:
    (port, http), *_ = quiet_ports(1)
    home = single.processes.data / "master-1"
    await asyncio.to_thread(single.processes.stop)
    code, out, err = await titan(
        *("node", "--listen", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http}"),
        *("--data", str(home), "--log-level", "error"),
    )
    assert code != 0
    assert out == ""
    assert "belongs to the master" in err
    assert "Traceback" not in err


async def test_two_masters_with_the_same_data_do_not_run_at_once(single: Cluster) -> None:
    """The second one says who has the directory or the port, and the first goes on."""
    code, _, err = await titan(
        *("node", "--listen", single.addresses[0], "--http", ""),
        *("--data", str(single.processes.data / "master-1"), "--log-level", "error"),
    )
    assert code != 0
    assert "error: " in err
    assert "Traceback" not in err
    await still_works(single)


async def test_a_busy_port_is_named(single: Cluster, tmp_path: Path) -> None:
    code, _, err = await titan(
        *("node", "--listen", single.addresses[0], "--http", ""),
        *("--data", str(tmp_path / "fresh"), "--log-level", "error"),
    )
    assert code == 2
    assert f"{single.addresses[0]} is in use" in err
    assert "Traceback" not in err


async def test_an_address_that_others_can_reach_needs_insecure(tmp_path: Path) -> None:
    (port, _), *_ = quiet_ports(1)
    code, _, err = await titan(
        *("node", "--listen", f"0.0.0.0:{port}", "--http", "", "--data", str(tmp_path / "m"))
    )
    assert code == 2
    assert "--insecure" in err


async def test_a_worker_with_the_data_of_a_live_one_is_refused(single: Cluster) -> None:
    code, _, err = await titan(
        *("worker", "--masters", single.addresses[0]),
        *("--data", str(single.processes.data / "worker-1"), "--log-level", "error"),
    )
    assert code != 0
    assert "belongs to another running worker" in err
    assert "Traceback" not in err


async def test_a_worker_with_the_id_of_a_live_one_does_not_take_its_place(
    single: Cluster, tmp_path: Path
) -> None:
    """A copied data directory: same id, another process. The live worker keeps its work."""
    twin = tmp_path / "twin"
    twin.mkdir()
    source = single.processes.data / "worker-1" / "worker-id"
    (twin / "worker-id").write_text(source.read_text())
    jobs = [{"id": "a", "command": "sleep 2", "retries": 0}]
    run = await single.client.submit_yaml(write_pipeline(tmp_path / "one.yaml", jobs))

    async def job() -> object:
        return (await single.jobs(str(run)))["a"].state

    await single.wait_until(job, lambda state: state == "RUNNING", timeout_s=15)
    log = tmp_path / "twin.log"
    arguments = ["worker", "--data", str(twin), "--masters", single.addresses[0]]
    member = Member("twin", arguments, log=log)
    member.start()
    try:

        async def said() -> str:
            return log.read_text()

        await wait_until(said, lambda text: "WARNING" in text or "error" in text, timeout_s=20)
        over = await single.wait_over(str(run), timeout_s=30)
        assert over.jobs == {"COMPLETED": 1}, (await single.jobs(str(run)), log.read_text())
        assert (await single.jobs(str(run)))["a"].attempts == 1
    finally:
        member.kill()
