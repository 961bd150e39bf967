"""Arguments and results of megabytes on real clusters: byte for byte, through a failover, fenced."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from titan.sdk import pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

DATA = os.urandom(5 * 2**20)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the tests' functions, imported from a small project of its own."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "functions"))
    import large  # type: ignore[import-not-found]

    yield large
    sys.modules.pop("large", None)


async def test_megabytes_go_from_call_to_call_while_the_leader_dies(
    cluster: Cluster, large: Any, tmp_path: Path
) -> None:
    with pipeline("large") as p:
        first = large.turn(DATA, 1)
        held = large.hold(first, str(tmp_path))
        alone = large.turn_alone(held, 2)
        last = large.turn_pickled(alone, 3)
        same = large.turn(DATA, 4)  # its argument is there already
    before = cluster.client.bytes_uploaded
    run = await cluster.client.submit_pipeline(p)
    assert cluster.client.bytes_uploaded - before < len(DATA) + 500_000
    await cluster.wait_until(
        lambda: _names(tmp_path), lambda seen: "started-1" in seen, timeout_s=60
    )
    await cluster.kill_leader()
    (tmp_path / "go-1").touch()
    expected = large.turned(large.turned(large.turned(DATA, 1) + b"1", 2), 3)
    assert await run.result(last, timeout=90) == expected
    assert await run.result(same, timeout=60) == large.turned(DATA, 4)
    assert await cluster.client.get_output(first.id, run.id) is not None
    assert await run.wait(30) == "COMPLETED"
    for digest in [*p.blobs(), *await _blobs(cluster, run.id)]:
        holders = [m.name for m in cluster.masters if _blob(cluster, m.name, digest).exists()]
        assert len(holders) >= 2, f"{digest} is on {holders}"


async def test_values_of_every_way_on_one_cluster(single: Cluster, large: Any) -> None:
    client = single.client
    call = await client.submit(large.turn_pickled, bytearray(DATA), 7)
    assert await call.result(timeout=60) == large.turned(DATA, 7)
    said = await client.submit(large.put_out, 300_000)
    assert await said.result(timeout=30) == "y" * 300_000
    assert await client.get_output("put_out", said.id) == "y" * 300_000
    parent = await client.submit(large.spread, DATA)
    (child,) = await parent.result(timeout=60)
    assert await client.get_result(parent.id, child, 60) == large.turned(DATA, 1)


async def test_the_result_of_a_superseded_attempt_is_not_accepted(
    large: Any, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path / "cluster", masters=1, workers=2, slots=2)
    late = cluster.workers.pop()  # it comes when the other one is believed lost
    try:
        await cluster.start()
        call = await cluster.client.submit(large.hold, DATA, str(tmp_path))
        await cluster.wait_until(
            lambda: _names(tmp_path), lambda seen: "started-1" in seen, timeout_s=60
        )
        cluster.pause(cluster.workers[0])
        (tmp_path / "go-1").touch()
        late.start()
        cluster.workers.append(late)
        await cluster.wait_until(
            lambda: _names(tmp_path),
            lambda seen: {"ended-1", "started-2"} <= seen,
            timeout_s=60,
        )
        cluster.resume(cluster.workers[0])

        async def online() -> int:
            return sum(worker.state == "online" for worker in await cluster.list_workers())

        await cluster.wait_until(online, lambda count: count == 2, timeout_s=30)
        (tmp_path / "go-2").touch()
        assert await call.result(timeout=60) == DATA + b"2"
        (job,) = (await cluster.jobs(call.id)).values()
        assert [one.exit_code for one in job.history].count(0) == 1
    except BaseException:
        cluster.show_logs()
        raise
    finally:
        await cluster.stop()


async def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def _blobs(cluster: Cluster, run: str) -> list[str]:
    """The blobs that stand for results of the run."""
    found = await cluster.client._ask_results(run, list(await cluster.jobs(run)), stale=False)
    return [view.blob.digest for view in found if view.blob is not None]


def _blob(cluster: Cluster, master: str, digest: str) -> Path:
    return cluster.data / master / "blobs" / digest[:2] / digest
