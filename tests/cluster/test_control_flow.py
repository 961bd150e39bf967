"""Conditions and foreach on real clusters: the page about them, and a fan-out through a failover."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from titan.sdk import TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

PAGE = Path(__file__).parents[2] / "docs/control-flow.md"


async def states(cluster: Cluster, run: str) -> dict[str, str]:
    return {name: view.state for name, view in (await cluster.jobs(run)).items()}


async def test_the_examples_of_the_page_do_what_it_says(single: Cluster, tmp_path: Path) -> None:
    text = PAGE.read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "words.yaml").write_text(example)
    run = str(await single.client.submit_yaml(tmp_path / "words.yaml"))
    assert (await single.wait_over(run, timeout_s=20)).state == "COMPLETED"
    assert await states(single, run) == {
        "split": "COMPLETED",
        "count": "COMPLETED",
        "count.0": "SKIPPED",
        "count.1": "COMPLETED",
        "count.2": "COMPLETED",
        "report": "COMPLETED",
        "clean": "SKIPPED",
    }
    assert await single.client.get_output("count", run) == [None, 5, 6]
    [code] = re.findall(r"```python\n(.*?)run = ", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    run = str(await single.client.submit_dag("squares", names["jobs"]))  # type: ignore[arg-type]
    assert (await single.wait_over(run, timeout_s=20)).state == "COMPLETED"
    assert await single.client.get_output("square", run) == [1, 4, 9]


async def test_a_fan_out_and_its_join_outlive_the_leader(cluster: Cluster, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.mkdir()
    jobs = [
        {"id": "split", "command": "echo '{\"items\": [0, 1, 2, 3, 4, 5, 6, 7]}' > $TITAN_OUTPUT"},
        {
            "id": "each",
            "depends_on": "split",
            "foreach": "outputs.split.items",
            "when": "item != 5",
            "command": f"echo x >> {starts}/$TITAN_ITEM_INDEX; sleep 0.6; "
            "echo $((TITAN_ITEM * 10)) > $TITAN_OUTPUT",
        },
        {"id": "yes", "depends_on": "each", "when": "outputs.each[7] == 70", "command": "true"},
        {"id": "no", "depends_on": "each", "when": "outputs.each[7] != 70", "command": "true"},
        {"id": "end", "depends_on": ["yes", "no"], "trigger": "none_failed", "command": "true"},
    ]
    path = tmp_path / "fan.yaml"
    path.write_text(json.dumps({"project": False, "jobs": jobs}))
    run = str(await cluster.client.submit_yaml(path))
    await cluster.wait_until(
        lambda: states(cluster, run),
        lambda found: found.get("each.0") in ("RUNNING", "COMPLETED"),
        timeout_s=10,
    )
    assert (await states(cluster, run))["each"] == "PENDING"
    await cluster.kill_leader()
    assert (await cluster.wait_over(run, timeout_s=40)).state == "COMPLETED"
    found = await states(cluster, run)
    assert (found["yes"], found["no"], found["end"]) == ("COMPLETED", "SKIPPED", "COMPLETED")
    assert found["each.5"] == "SKIPPED"
    expected = [0, 10, 20, 30, 40, None, 60, 70]
    assert await cluster.client.get_output("each", run) == expected
    assert {file.name: file.read_text() for file in starts.iterdir()} == {
        str(n): "x\n" for n in range(8) if n != 5
    }


async def test_a_large_output_is_a_blob_that_is_fetched(single: Cluster) -> None:
    code = "from titan.sdk import current as c; c().set_output(1); c().set_output('y' * 300_000)"
    jobs = [
        TitanJob("shell", command="head -c 200000 /dev/zero | tr '\\0' x > $TITAN_OUTPUT"),
        TitanJob("python", script_content=code),
        TitanJob("asks", command="true", parents=["shell"], when="outputs.shell == 'x'"),
    ]
    run = str(await single.client.submit_dag("large", jobs))
    assert (await single.wait_over(run, timeout_s=20)).state == "FAILED"
    assert await single.client.get_output("shell", run) == "x" * 200_000
    assert await single.client.get_output("python", run) == "y" * 300_000
    found = await single.jobs(run)
    assert (found["shell"].state, found["python"].state) == ("COMPLETED", "COMPLETED")
    assert found["asks"].reason == "when: the output of 'shell' is too large to be asked about"


async def test_a_large_fan_out_joins(single: Cluster) -> None:
    jobs = [
        TitanJob("each", command="true", foreach=list(range(1500)), when="item < 20"),
        TitanJob("end", command="true", parents=["each"], when="len(outputs.each) == 1500"),
    ]
    run = str(await single.client.submit_dag("large", jobs))
    assert (await single.wait_over(run, timeout_s=60)).state == "COMPLETED"
    assert (await single.run_view(run)).jobs == {"COMPLETED": 22, "SKIPPED": 1480}
