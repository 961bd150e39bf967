"""Functions on real clusters: a leader that dies among thousands of calls, children, the example."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.exec.wheels import make_wheel, offline
from titan.sdk import pipeline
from titan.sdk.calls import CallFailed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
CALLS = 2000


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the tests' functions, imported from a small project of its own."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "functions"))
    import many  # type: ignore[import-not-found]

    yield many
    sys.modules.pop("many", None)


async def test_thousands_of_calls_outlive_their_leader_and_each_counts_once(
    cluster: Cluster, many: Any
) -> None:
    with pipeline("many") as p:
        squares = [many.square(x) for x in range(CALLS)]
        sums = [many.total(squares[at : at + 100]) for at in range(0, CALLS, 100)]
        whole = many.total(sums)
        for _ in range(50):
            many.count("counted")
    run = await cluster.client.submit_pipeline(p)

    async def ended() -> int:
        return (await cluster.run_view(run.id)).jobs.get("COMPLETED", 0)

    before = await cluster.wait_until(ended, lambda found: found > 100, timeout_s=60)
    await cluster.kill_leader()
    assert before < len(p.nodes), "the leader died after the end"
    assert await run.result(whole, timeout=120) == sum(x * x for x in range(CALLS))
    assert await run.wait(60) == "COMPLETED"
    found = await run.results(timeout=60)
    assert [found[node.id] for node in squares] == [x * x for x in range(CALLS)]
    assert await cluster.client.store_get("counted") == "50"
    jobs = await cluster.jobs(run.id)
    ends = [sum(record.exit_code == 0 for record in job.history) for job in jobs.values()]
    assert set(ends) == {1}


async def test_calls_of_every_kind_on_one_cluster(single: Cluster, many: Any) -> None:
    client = single.client
    call = await client.submit(many.square, 7)
    assert await call.result(timeout=30) == 49
    assert await client.map(many.square, range(5), timeout=30) == [0, 1, 4, 9, 16]

    failed = await client.submit(many.broken, "no luck")
    with pytest.raises(CallFailed, match="FAILED: exit code 1: ValueError: no luck"):
        await failed.result(timeout=30)
    text = await client.fetch_logs("broken", failed.id)
    assert text.startswith("about to fail\nTraceback (most recent call last):\n")
    assert "titan/" not in text

    silent = await client.submit(many.quiet)
    assert await silent.result(timeout=30) is None
    assert await client.fetch_logs("quiet", silent.id) == ""

    parent = await client.submit(many.fan_out, 4)
    names = await parent.result(timeout=30)
    assert names[-1] == "fan_out.1.1.total"
    assert await parent.wait(60) == "COMPLETED"
    assert await client.get_result(parent.id, names[-1]) == 14
    assert await client.get_result(parent.id, "fan_out.1.2.square") == 81
    assert await client.get_output(names[-1], parent.id) == 14


@pytest.fixture
def wheeled(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "functions"))
    import wheeled  # type: ignore[import-not-found]

    yield wheeled
    sys.modules.pop("wheeled", None)


async def test_functions_have_a_python_of_their_own(
    single: Cluster, wheeled: Any, tmp_path: Path
) -> None:
    client = single.client
    make_wheel(tmp_path / "wheels", "titan_tiny")
    env = offline(tmp_path / "wheels")
    tiny = wheeled.tiny.options(env=env)
    modules = ["titan_tiny", "aiohttp", "cryptography", "pytest", "msgspec", "titan.sdk"]
    lines = ["titan_tiny==1.0"]
    with pipeline("pythons") as p:
        first = tiny(2)
        second = tiny.options(after=[first])(84)
        alone = tiny.options(isolated=True)(3)
        plain = wheeled.plain()
        seen = wheeled.found.options(env=env, requirements=lines)(modules)
        pickled = wheeled.found.options(env=env, requirements=lines, serializer="pickle")(modules)
    run = await client.submit_pipeline(p)
    prefix, value = await run.result(first, timeout=90)
    assert value == 84
    assert await run.result(second, timeout=60) == (prefix, 84 * 42)
    assert await run.result(alone, timeout=60) == (prefix, 126)
    assert await run.result(plain, timeout=60) == (sys.prefix, False)
    assert prefix != sys.prefix
    for node in (seen, pickled):
        assert await run.result(node, timeout=60) == ["titan_tiny", "msgspec", "titan.sdk"]
    assert await client.store_get("tiny") == "3"
    assert (await client.fetch_logs("tiny-2", run.id)) == f"in {prefix}\n"
    builds = (await client.fetch_logs("tiny", run.id)).splitlines()
    assert builds[-1] == f"in {prefix}"

    venv = await client.submit(wheeled.plain.options(python=prefix))
    assert await venv.result(timeout=60) == (prefix, True)
    missing = wheeled.tiny.options(
        env=env, requirements=["no_such_package_anywhere"], retries=0, job_id="missing"
    )
    call = await client.submit(missing, 1)
    with pytest.raises(CallFailed, match=r"could not be prepared: .*no_such_package_anywhere"):
        await call.result(timeout=90)


async def test_the_example_does_what_its_readme_says(single: Cluster) -> None:
    folder = ROOT / "examples" / "functions"
    commands = re.findall(r"```sh\n(.+?)\n```", (folder / "README.md").read_text())
    assert commands == ["python pi.py", "python pi.py cluster"]
    said = [await shell(line, folder, masters=",".join(single.addresses)) for line in commands]
    (here,) = re.findall(r"π is about (\S+)", said[0])
    assert f"π is about {here}" in said[1]
    assert "9 jobs" in said[1]
    assert "seed 0: " in said[1]
    assert "Share(points=1000, inside=" in said[1]


async def shell(line: str, folder: Path, *, masters: str) -> str:
    program, *arguments = line.split()
    assert program == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TITAN_MASTERS": masters, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, out.decode()
    return out.decode()
