"""Schedules, dead letters and the audit over HTTP, asked of one real master after the other."""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import deploy, write_pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

PIPELINE = {
    "name": "report",
    "project": False,
    "parameters": {"region": {"choices": ["eu", "us"], "required": True}},
    "jobs": [{"id": "a", "command": "true"}],
}


class Asker:
    """Asks one master after the other, so that most writes are forwarded."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self._hosts = [member.http for member in cluster.masters]
        self._session = session
        self._asked = 0

    async def ask(
        self, method: str, path: str, body: Any = None, *, who: str = ""
    ) -> tuple[int, Any]:
        self._asked += 1
        host = self._hosts[self._asked % len(self._hosts)]
        headers = {"X-Titan-Request": "1", **({"X-Titan-Who": who} if who else {})}
        url = f"http://{host}/api/v1/{path}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text

    async def do(self, method: str, path: str, body: Any = None, *, who: str = "") -> Any:
        status, answer = await self.ask(method, path, body, who=who)
        assert status == 200, answer
        return answer


async def test_schedules_dead_letters_and_who_did_it(cluster: Cluster) -> None:
    async with aiohttp.ClientSession() as session:
        asker = Asker(cluster, session)
        await _schedules(asker)
        await _dead_letters(cluster, asker)
        await _audit(cluster, asker)


async def _schedules(asker: Asker) -> None:
    await asker.do("PUT", "pipelines/report", {"yaml": json.dumps(PIPELINE)})
    timing = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "pipeline": "report"}
    status, refused = await asker.ask("PUT", "schedules/s", {**timing, "cron": "x", "overlap": "y"})
    assert (status, refused["code"], len(refused["problems"])) == (422, "invalid_spec", 1), refused
    status, refused = await asker.ask("PUT", "schedules/s", timing)
    assert status == 422, "a required parameter is missing"
    assert "region" in json.dumps(refused)
    await asker.do("PUT", "schedules/s", {**timing, "parameters": {"region": "eu"}}, who="Ad%C3%A9")
    seen = await asker.do("GET", "schedules/s?consistent=1")
    assert seen["words"] == "At 02:30 every day"
    assert len(seen["upcoming"]) == 10
    assert seen["next_ms"] == seen["upcoming"][0]["at_ms"] > time.time() * 1000

    assert (await asker.do("POST", "schedules/s/pause"))["changed"] is True
    assert (await asker.do("POST", "schedules/s/pause"))["changed"] is False
    run = (await asker.do("POST", "schedules/s/run"))["run"]
    [listed] = (await asker.do("GET", "schedules?consistent=1"))["items"]
    assert listed["next_ms"] is None
    assert listed["schedule"]["last"]["run"] == run
    assert (await asker.do("POST", "schedules/s/resume"))["changed"] is True

    day = 86_400_000
    asked = await asker.do("GET", f"cron?cron=0+6+*+*+*&after_ms={10 * day}&until_ms={13 * day}")
    assert (asked["count"], asked["more"]) == (3, False)
    asked = await asker.do(
        "GET", "cron?cron=30+2+*+*+*&timezone=Europe/Berlin&after_ms=1792800000000"
    )
    notes = [one["note"] for one in asked["firings"] if one["note"]]
    assert notes == ["clocks change: +0200 → +0100"]
    status, refused = await asker.ask("GET", "cron?cron=0+6+*+*+*&timezone=Europe/Berlen")
    assert (status, "Europe/Berlin" in json.dumps(refused)) == (422, True)
    assert (await asker.do("DELETE", "schedules/s"))["changed"] is True
    assert (await asker.ask("POST", "schedules/s/run"))[0] == 404
    assert (await asker.ask("GET", "schedules/s?consistent=1"))[0] == 404


async def _dead_letters(cluster: Cluster, asker: Asker) -> None:
    fail = "seq 1 1000; exit 3"
    jobs = [{"id": f"j{n}", "command": fail, "retries": 1, "retry_backoff_ms": 0} for n in range(3)]
    run = await deploy(cluster, write_pipeline(cluster.data / "p.yaml", jobs, name="imports"))
    await cluster.wait_over(run, timeout_s=20)
    assert (await asker.do("GET", "dead/count?text=IMPORT&consistent=1"))["count"] == 3
    page = await asker.do("GET", "dead?limit=2&consistent=1")
    rest = await asker.do("GET", f"dead?limit=2&after={page['next']}&consistent=1")
    assert sorted(one["job"] for one in page["items"] + rest["items"]) == ["j0", "j1", "j2"]
    tail = await asker.do("GET", f"runs/{run}/jobs/j0/log?tail_bytes=10")
    assert tail == "\n999\n1000\n"
    letters = [{"run": run, "job": "j0"}]
    assert (await asker.do("POST", "dead/replay", {"letters": letters})) == {
        "replayed": 1,
        "more": False,
    }
    assert (await asker.do("POST", "dead/replay", {"text": "nobody"}))["replayed"] == 0


async def _audit(cluster: Cluster, asker: Asker) -> None:
    found = (await asker.do("GET", "audit?kind=schedule&consistent=1"))["items"]
    assert [one["action"].split(".")[1] for one in found] == [
        "delete", "resume", "trigger", "pause", "set"
    ]  # fmt: skip
    assert found[-1]["who"] == "http Adé"
    assert found[0]["who"] == "http 127.0.0.1"
    [mine] = await cluster.client.audit(action="run.submit", about="r-")
    assert mine.who.startswith(("cli ", "sdk ")), mine
    first = await asker.do("GET", "audit?limit=2&consistent=1")
    second = await asker.do("GET", f"audit?limit=2&before={first['next']}&consistent=1")
    numbers = [one["number"] for one in first["items"] + second["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 4
