"""Gates on real clusters: many people at once, a leader that dies, scripts and commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster, titan
from titan.errors import Conflict
from titan.sdk import AsyncClient, TitanJob
from titan.sdk.gates import Decided

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

DECIDERS = 100
ROOT = Path(__file__).parents[2]


async def call(cluster: Cluster, *arguments: str, code: int = 0) -> str:
    """One `titan` command; what it printed."""
    found, out, err = await titan(*arguments, "--masters", ",".join(cluster.addresses))
    assert found == code, (out, err)
    return out + err


async def until_waiting(cluster: Cluster, run: str, gate: str) -> None:
    async def look() -> str:
        return await cluster.client.get_job_status(gate, run)

    await cluster.wait_until(look, lambda state: state == "WAITING", timeout_s=20)


async def test_a_hundred_deciders_and_a_leader_that_dies_give_one_outcome(
    cluster: Cluster,
) -> None:
    jobs = [
        TitanJob("ok", job_type="gate"),
        TitanJob("yes", command="true", parents=["ok"]),
        TitanJob("no", command="true", parents=["ok"], trigger="any_failed"),
    ]
    run = await cluster.client.submit_dag("vote", jobs)
    await until_waiting(cluster, run.id, "ok")
    clients = [AsyncClient([cluster.addresses[n % 3]]) for n in range(DECIDERS)]
    try:
        votes = [
            asyncio.create_task(decide(client, run.id, n), name=f"decider {n}")
            for n, client in enumerate(clients)
        ]
        await asyncio.wait(votes, return_when=asyncio.FIRST_COMPLETED)
        undecided = sum(not vote.done() for vote in votes)
        await cluster.kill_leader()
        heard = await asyncio.gather(*votes)
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    assert undecided > 0, "everybody had an answer before the leader died"
    accepted = [(n, one) for n, one in enumerate(heard) if isinstance(one, Decided)]
    refused = [one for one in heard if isinstance(one, Conflict)]
    assert len(accepted) == 1
    assert len(refused) == DECIDERS - 1
    winner, done = accepted[0]
    state = "COMPLETED" if winner % 2 else "FAILED"
    assert done.state == state
    assert {error.reason for error in refused} == {"gate_decided"}
    word = "approved" if winner % 2 else "rejected"
    assert all(f"{word} by person-{winner}," in str(error) for error in refused)
    await cluster.wait_over(run.id, timeout_s=30)
    states = {name: job.state for name, job in (await cluster.jobs(run.id)).items()}
    went, stayed = ("yes", "no") if winner % 2 else ("no", "yes")
    assert states == {"ok": state, went: "COMPLETED", stayed: "SKIPPED"}
    decisions = (await cluster.client.get_gate("ok", run.id)).decisions
    assert [one.by for one in decisions] == [f"person-{winner}"]


async def decide(client: AsyncClient, run: str, n: int) -> Decided | Conflict:
    """Odd ones approve, even ones reject; what this one heard."""
    work = client.approve if n % 2 else client.reject
    try:
        return await work("ok", run, by=f"person-{n}")
    except Conflict as error:
        return error


V1_SCRIPT = """
import sys, time
from titan.sdk import TitanClient, TitanJob

client = TitanClient()
jobs = [
    TitanJob("build", sys.argv[1], hitl_message="Deploy it?", max_wait_seconds=3600),
    TitanJob("deploy", sys.argv[1], parents=["build"]),
]
run = client.submit_dag("release", jobs)
print(run, flush=True)
while client.get_job_status("hitl-gate-build") != "WAITING":
    time.sleep(0.05)
assert client.get_job_status("deploy") == "PENDING"
sys.stdin.readline()
print(run.wait(timeout=30))
"""


async def test_a_script_as_for_v1_waits_at_the_gate_after_a_job(
    single: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "work.py").write_text("print('working')\n")
    (tmp_path / "script.py").write_text(V1_SCRIPT)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(tmp_path / "script.py"), str(tmp_path / "work.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"TITAN_MASTERS": single.addresses[0], "PATH": "/usr/bin:/bin"},
    )
    try:
        assert process.stdout is not None
        run = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        await until_waiting(single, run, "hitl-gate-build")
        shown = json.loads(await call(single, "gates", "--json"))
        assert [(one["run"], one["id"], one["message"]) for one in shown] == [
            (run, "hitl-gate-build", "Deploy it?")
        ]
        assert "waits for approval: Deploy it?" in await call(single, "jobs", run)
        said = await call(single, "approve", "build", "--comment", "good", "--by", "ann")
        assert said == f"hitl-gate-build of run {run} is COMPLETED\n"
        out, _ = await asyncio.wait_for(process.communicate(b"\n"), 40)
        assert out.decode().split() == ["COMPLETED"]
        assert process.returncode == 0
        late = await call(single, "reject", "build", code=5)
        assert "was approved by ann, at 20" in late
        history = json.loads(await call(single, "status", "hitl-gate-build", "--json"))
        assert [(one["by"], one["comment"]) for one in history["decisions"]] == [("ann", "good")]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_forms_roles_time_outs_and_late_children(single: Cluster) -> None:
    client = single.client
    form = {"region": {"choices": ["eu", "us"], "required": True}, "copies": {"default": 2}}
    read = (
        "import titan.sdk as s; me = s.current(); "
        "print('answer', s.TitanClient().get_output('ask', me.run))"
    )
    jobs = [
        TitanJob("ask", job_type="gate", hitl_message="Where?", form=form,
                 approvers={"count": 2, "roles": ["ops"]}),
        TitanJob("use", command=[sys.executable, "-c", read], parents=["ask"], retries=0),
        TitanJob("slow", job_type="gate", max_wait_seconds=0.5),
    ]  # fmt: skip
    run = str(await client.submit_dag("forms", jobs))
    await until_waiting(single, run, "ask")
    table = await call(single, "gates", "--run", run)
    assert "0 of 2" in table
    assert "region*, copies" in table
    ops = ("--role", "ops")
    denied = await call(single, "approve", "ask", "--by", "eve", code=77)
    assert "is decided by roles ops" in denied
    wrong = await call(
        single, "approve", "ask", *ops, "--by", "ann", "--answer", "region=mars", code=2
    )
    assert "region must be one of eu, us" in wrong
    first = await call(single, "approve", "ask", *ops, "--by", "ann", "--answer", "region=eu")
    assert first == f"ask of run {run}: 1 of 2 approvals\n"
    again = await call(single, "approve", "ask", *ops, "--by", "ann", "--answer", "region=eu")
    assert again == first
    second = await call(
        single, "approve", "ask", *ops, "--by", "bob", "--answer", "copies=3", "--json"
    )
    assert json.loads(second)["state"] == "COMPLETED"
    view = await single.wait_over(run, timeout_s=30)
    assert view.state == "FAILED"  # of the gate that nobody decided
    jobs_now = await single.jobs(run)
    assert jobs_now["slow"].reason == "nobody decided within 0.5 s"
    assert jobs_now["use"].state == "COMPLETED", jobs_now["use"].reason
    answers: Any = await client.get_output("ask", run)
    assert answers == {"region": "eu", "copies": 3}
    assert "answer {'region': 'eu', 'copies': 3}" in await client.fetch_logs("use", run)
    assert await client.pending_gates() == []
    assert "no gate waits" in await call(single, "gates")
    await client.retry("slow", run)
    await until_waiting(single, run, "slow")
    await decide_over_http(single, run)


async def decide_over_http(single: Cluster, run: str) -> None:
    base = f"http://{single.masters[0].http}/api/v1"
    change = {"X-Titan-Request": "1"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        async with session.get(f"{base}/gates?consistent=1") as answer:
            assert [one["id"] for one in (await answer.json())["items"]] == ["slow"]
        url = f"{base}/runs/{run}/gates/slow"
        async with session.post(f"{url}/approve", json={}, headers=change) as answer:
            assert answer.status == 400
        word = {"by": "ann", "comment": "late"}
        async with session.post(f"{url}/approve", json=word, headers=change) as answer:
            done = await answer.json()
            assert (answer.status, done["state"], done["wanted"]) == (200, "COMPLETED", 1)
        async with session.post(f"{url}/reject", json={"by": "bob"}, headers=change) as answer:
            assert answer.status == 409
            assert "approved by ann" in (await answer.json())["message"]
        async with session.get(f"{base}/gates/slow?consistent=1") as answer:
            assert (await answer.json())["decisions"][-1]["comment"] == "late"


async def test_the_example_goes_as_its_readme_says(single: Cluster, tmp_path: Path) -> None:
    """Every line of it, in order; where a person would look until something has happened, so does this."""
    text = (
        (ROOT / "examples/gate/README.md").read_text().replace("/tmp/titan-releases", f"{tmp_path}")
    )
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    said = ""
    for line in "".join(blocks).splitlines():
        if re.match(r"titan (gates|approve|reject)", line):
            await single.wait_until(
                single.client.pending_gates, lambda gates: len(gates) == 1, timeout_s=30
            )
        if line.startswith(("titan logs", "cat")):
            latest = (await single.client.list_runs(1))[0]
            await single.wait_over(latest.id, timeout_s=30)
        said += await shell(single, line)
    for words in (
        "packed",
        "publish-gate",
        "beta",
        "first try",
        "release version 1",
        "thrown away",
    ):
        assert words in said, said
    with tarfile.open(tmp_path / "beta/release.tar.gz") as archive:
        assert "publish.py" in archive.getnames()
    assert await single.client.store_list("release/") == []


async def shell(single: Cluster, line: str) -> str:
    """One line of a README, in the root of the repository."""
    folder = Path(sys.executable).parent
    process = await asyncio.create_subprocess_shell(
        line,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "TITAN_MASTERS": single.addresses[0]},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, (line, out.decode())
    return out.decode()
