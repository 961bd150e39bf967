"""Pipelines over HTTP at real masters: checked, run, run again, grown, saved, given back, and told of."""

from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

YAML = """
name: words
parameters: {count: {type: int, default: 2}}
jobs:
  - {id: a, file: src/a.sh, args: [x y]}
  - {id: b, command: 'cat data.bin | wc -c; echo $TITAN_PARAM_count', depends_on: [a]}
"""
FILES = {
    "yaml": YAML,
    "files": {"src/a.sh": "echo a got $1"},
    "binary": {"data.bin": base64.b64encode(b"\xff\xfe\xfd").decode()},
}


class Page:
    """Asks one master after the other, so that most requests have to be forwarded."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self._hosts = [member.http for member in cluster.masters]
        self._session = session
        self._asked = 0

    async def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        self._asked += 1
        host = self._hosts[self._asked % len(self._hosts)]
        headers = {"X-Titan-Request": "1", **({"Idempotency-Key": key} if key else {})}
        query = "" if method != "GET" else "?consistent=1"
        url = f"http://{host}/api/v1/{path}{query}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def done(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        status, found = await self.ask(method, path, body, key=key)
        assert status == 200, found
        return found


async def test_a_pipeline_goes_all_its_ways_over_http(cluster: Cluster) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        page = Page(cluster, session)
        await _refused(page)
        assert (await page.done("POST", "pipelines/check", FILES)) == {"problems": []}
        asked = {**FILES, "parameters": {"count": 5}, "agent_run_id": "agent"}
        answers = [await page.done("POST", "runs", asked, key="one click") for _ in range(3)]
        run = answers[0]["run"]
        assert [answer["run"] for answer in answers] == [run] * 3, "a repeat has no second effect"
        view = await cluster.wait_over(run, timeout_s=20)
        assert (view.state, view.agent_run_id) == ("COMPLETED", "agent")
        assert await cluster.client.fetch_logs("a", run) == "a got x y\n"
        assert (await cluster.client.fetch_logs("b", run)).split() == ["3", "5"]

        again = (await page.done("POST", f"runs/{run}/redeploy", {}))["run"]
        assert again != run
        await cluster.wait_over(again, timeout_s=20)
        assert (await cluster.client.fetch_logs("b", again)).split() == ["3", "5"]

        source = await page.done("GET", f"runs/{run}/source")
        assert source["files"] == FILES["files"]
        assert source["binary"] == FILES["binary"]
        assert source["pipeline"]["jobs"][0] == {"id": "a", "file": "src/a.sh", "args": ["x y"]}
        await _joins(cluster, page)
        await _pays(cluster, page)
        await _saves(page)
        facts = (await page.done("GET", "events"))["items"]
        assert {"run.submitted", "attempt.finished"} <= {fact["kind"] for fact in facts}
        assert [fact["index"] for fact in facts] == sorted(
            (fact["index"] for fact in facts), reverse=True
        )


async def _refused(page: Page) -> None:
    wrong = {"yaml": "jobs: [{id: a, comand: x}]"}
    found = (await page.done("POST", "pipelines/check", wrong))["problems"]
    assert ("jobs[0].comand", 1) in [(one["field"], one["line"]) for one in found]
    status, body = await page.ask("POST", "runs", wrong)
    assert (status, body["code"]) == (422, "invalid_spec")
    assert len(body["problems"]) == 2
    status, body = await page.ask("POST", "runs", {"yaml": YAML, "files": {"../x": ""}})
    assert (status, body["code"]) == (400, "user_error")
    status, body = await page.ask("GET", "runs/r-00000000000000000000/source")
    assert status == 404


async def _pays(cluster: Cluster, page: Page) -> None:
    """The budget of the YAML holds, as it does from the command line."""
    budget = {"jobs": 1, "wall_s": 90.5, "on_limit": "queue"}
    yaml = f"name: thrifty\nbudget: {json.dumps(budget)}\njobs: [{{id: a, command: 'true'}}]\n"
    run = (await page.done("POST", "runs", {"yaml": yaml}))["run"]
    assert (await cluster.wait_over(run, timeout_s=20)).budgets == (run,)
    assert (await page.done("GET", f"runs/{run}/source"))["pipeline"]["budget"] == budget
    again = (await page.done("POST", f"runs/{run}/redeploy", {}))["run"]
    assert (await cluster.wait_over(again, timeout_s=20)).budgets == (again,)
    await page.done("PUT", "pipelines/thrifty", {"yaml": yaml})
    source = await page.done("GET", "pipelines/thrifty/source")
    assert source["pipeline"]["budget"] == budget
    saved = await cluster.client.submit_saved_dag("thrifty")
    assert (await cluster.wait_over(saved.id, timeout_s=20)).budgets == (saved.id,)


async def _joins(cluster: Cluster, page: Page) -> None:
    held = {"yaml": "jobs: [{id: long, command: sleep 30}, {id: quick, command: 'true'}]"}
    run = (await page.done("POST", "runs", held))["run"]
    more = {
        "yaml": "jobs: [{id: new, file: n.sh, depends_on: [quick]}]",
        "files": {"n.sh": "echo joined"},
    }
    await page.done("POST", f"runs/{run}/jobs", more)

    async def look() -> Any:
        return (await cluster.jobs(run))["new"].state

    await cluster.wait_until(look, lambda state: state == "COMPLETED", timeout_s=20)
    assert await cluster.client.fetch_logs("new", run) == "joined\n"
    status, body = await page.ask("POST", f"runs/{run}/jobs", more)
    assert (status, body["code"]) == (422, "invalid_spec"), body
    await page.done("POST", f"runs/{run}/cancel", {})


async def _saves(page: Page) -> None:
    assert (await page.done("PUT", "pipelines/kept", FILES))["version"] == 1
    assert (await page.done("PUT", "pipelines/kept", FILES))["version"] == 1
    source = await page.done("GET", "pipelines/kept/source")
    assert source["pipeline"]["name"] == "kept"
    assert source["pipeline"]["parameters"]["count"]["default"] == 2
    assert source["files"] == FILES["files"]
