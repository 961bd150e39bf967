"""Schedules on real masters: one run for each nominal time while leaders are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, titan

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

PIPELINE = """
name: tick
project: false
schedule: {cron: "* * * * * *", catchup: all}
jobs:
  - id: note
    command: "echo $TITAN_PARAM_scheduled_time_ms"
"""


async def fires(cluster: Cluster, *, more: int) -> None:
    """Until the schedule has fired so many times more."""
    before = len((await cluster.client.get_schedule("tick")).firings)
    await cluster.wait_until(
        lambda: cluster.client.get_schedule("tick"),
        lambda view: len(view.firings) >= before + more,
        timeout_s=15,
    )


async def test_every_second_fires_once_while_leaders_are_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "tick.yaml"
    file.write_text(PIPELINE)
    masters = ("--masters", ",".join(cluster.addresses))
    code, out, err = await titan("deploy", str(file), *masters)
    assert code == 0, err
    assert "tick version 1 is scheduled" in out
    client = cluster.client
    for _ in range(2):
        await fires(cluster, more=2)
        killed = await cluster.kill_leader()
        killed.start()
        await cluster.leader(unlike=killed.address)
    await fires(cluster, more=2)
    assert await client.pause_schedule("tick") is True

    view = await client.get_schedule("tick")
    times = [one.nominal_ms for one in view.firings if one.outcome == "started"]
    assert len(times) >= 6
    assert times == list(range(times[0], times[-1] + 1, 1000)), "each second, none twice"
    runs = [run for run in await client.list_runs(limit=100) if run.schedule == "tick"]
    assert {run.id for run in runs} == {one.run for one in view.firings}
    for run in runs:
        assert (await cluster.wait_over(run.id, timeout_s=30)).state == "COMPLETED"
    printed = {(await client.fetch_logs("note", run.id)).strip() for run in runs}
    assert printed == {str(at) for at in times}

    code, out, _ = await titan("schedules", "show", "tick", *masters)
    assert code == 0
    assert "paused" in out
    assert (await titan("schedules", "explain", "--cron", "61 * * * *"))[0] == 2
    now = await client.run_schedule("tick")
    assert await now.wait(timeout=20) == "COMPLETED"
    assert await client.delete_schedule("tick") is True
