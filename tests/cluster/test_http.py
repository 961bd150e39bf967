"""The HTTP API of real masters: reads, writes, refusals, and live streams that outlive a master."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate

from tests.cluster.cluster import Cluster, kill
from tests.cluster.pipelines import deploy, write_pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

CHANGE = {"X-Titan-Request": "1"}


class Browser:
    """A client of the HTTP ports, with the manners of a page."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.hosts = [member.http for member in cluster.masters]

    async def ask(
        self, method: str, path: str, *, at: int = 0, body: Any = None, **headers: str
    ) -> tuple[int, Any, aiohttp.typedefs.LooseHeaders]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method, f"http://{self.hosts[at]}{path}", json=body, headers=sent
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json" and text
            return answer.status, json.loads(text) if is_json else text, answer.headers

    async def change(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer, _ = await self.ask(method, path, body=body, **options, **CHANGE)
        assert status == 200, answer
        return answer

    async def stream(self, query: str, *, at: int, since: int | None) -> AsyncIterator[Message]:
        headers = {} if since is None else {"Last-Event-ID": str(since)}
        url = f"http://{self.hosts[at]}/api/v1/stream?{query}"
        async with self._session.get(url, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            message: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    message[name] = value
                elif message.get("event"):
                    ident = message.get("id")
                    yield (
                        message["event"],
                        json.loads(message["data"]),
                        int(ident) if ident else None,
                    )
                    message = {}


Message = tuple[str, Any, int | None]


@pytest.fixture
async def browser(cluster: Cluster) -> AsyncIterator[Browser]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Browser(cluster, session)


async def test_the_api_reads_writes_and_refuses(cluster: Cluster, browser: Browser) -> None:
    path = write_pipeline(
        cluster.data / "p.yaml",
        [{"id": "a", "command": "echo '<b>hello</b>'"}, {"id": "b", "command": "true"}],
    )
    run = await deploy(cluster, path)
    await cluster.wait_over(run, timeout_s=20)
    for at in range(3):
        status, view, headers = await browser.ask("GET", f"/api/v1/runs/{run}?consistent=1", at=at)
        assert (status, view["state"]) == (200, "COMPLETED")
        assert int(headers["X-Titan-Index"]) > 0

        answer = await browser.change("PUT", f"/api/v1/store/k{at}", {"value": "é"}, at=at)
        assert answer["index"] > 0
    _, page, _ = await browser.ask("GET", "/api/v1/store?limit=2&consistent=1")
    assert [item["key"] for item in page["items"]] == ["k0", "k1"]
    _, rest, _ = await browser.ask("GET", f"/api/v1/store?after={page['next']}")
    assert [item["value"] for item in rest["items"]] == ["é"]
    assert rest["next"] is None

    status, text, headers = await browser.ask("GET", f"/api/v1/runs/{run}/jobs/a/log", at=1)
    assert (status, text) == (200, "<b>hello</b>\n")
    assert headers["Content-Type"].startswith("text/plain")
    assert headers["X-Content-Type-Options"] == "nosniff"

    await _refusals(browser, run)
    await _repeats(browser)
    await _etags(browser)
    _, described, _ = await browser.ask("GET", "/api/v1/openapi.json")
    validate(described)


async def _refusals(browser: Browser, run: str) -> None:
    put = {"value": "x"}
    status, body, _ = await browser.ask("PUT", "/api/v1/store/k", body=put)
    assert (status, body["code"]) == (403, "access_denied")
    assert "X-Titan-Request" in body["hint"]
    foreign = {"Origin": "http://evil.example", **CHANGE}
    assert (await browser.ask("PUT", "/api/v1/store/k", body=put, **foreign))[0] == 403
    assert (await browser.ask("GET", "/api/v1/runs", Origin="http://evil.example"))[0] == 403
    assert (await browser.ask("GET", "/api/v1/runs", Host="evil.example:9080"))[0] == 403
    sister = f"http://{browser.hosts[1]}"
    await browser.ask("GET", "/api/v1/cluster")
    _, _, headers = await browser.ask("GET", "/api/v1/runs", Origin=sister)
    assert headers["Access-Control-Allow-Origin"] == sister

    for path, wanted, words in (
        ("/api/v1/runs/nope", 404, "no run nope"),
        ("/api/v1/runs?colour=red", 400, "'colour'"),
        ("/api/v1/runs?limit=many", 400, "limit"),
        ("/api/v1/nothing", 404, "/api/v1/nothing"),
        (f"/api/v1/runs/{run}/jobs/zz/log", 404, "zz"),
    ):
        status, body, _ = await browser.ask("GET", path)
        assert status == wanted, body
        assert words in body["message"], body
    status, body, _ = await browser.ask(
        "POST", f"/api/v1/runs/{run}/jobs/a/cancel", body={}, **CHANGE
    )
    assert status in (200, 409), body
    status, body, _ = await browser.ask("PUT", "/api/v1/store/k", body={"valu": "x"}, **CHANGE)
    assert (status, body["code"]) == (400, "user_error")
    assert "valu" in body["message"]


async def _repeats(browser: Browser) -> None:
    once = {"Idempotency-Key": "the same click", **CHANGE}
    answers = [
        (await browser.ask("POST", "/api/v1/store/n/incr", at=at, body={"by": 5}, **once))[1]
        for at in (0, 1, 2, 0)
    ]
    assert [answer["value"] for answer in answers] == [5, 5, 5, 5]


async def _etags(browser: Browser) -> None:
    _, _, headers = await browser.ask("GET", "/api/v1/store")
    again = await browser.ask("GET", "/api/v1/store", If_None_Match=headers["ETag"])
    assert again[0] == 304


async def test_a_live_page_goes_on_at_another_master(cluster: Cluster, browser: Browser) -> None:
    jobs = [{"id": f"j{n}", "command": "sleep 0.3"} for n in range(30)]
    run = await deploy(cluster, write_pipeline(cluster.data / "live.yaml", jobs))
    seen: dict[str, str] = {}
    last: int | None = None
    resets = 0
    leader = await cluster.leader()
    first = next(n for n, member in enumerate(cluster.masters) if member is leader)

    async def follow(at: int, *, until: int) -> None:
        nonlocal last, resets
        try:
            async for kind, data, index in browser.stream(f"run={run}", at=at, since=last):
                if kind == "reset":
                    resets += 1
                elif kind == "jobs":
                    seen.update({job["id"]: job["state"] for job in data})
                last = index or last
                if list(seen.values()).count("COMPLETED") >= until:
                    return
        except aiohttp.ClientError:
            assert at == first, "only the dead master's stream may break"

    async with asyncio.timeout(60):
        await follow(first, until=5)
        kill(leader)
        await follow((first + 1) % 3, until=30)
    assert resets == 1, "the second master knew what had changed since"
    assert seen == {f"j{n}": "COMPLETED" for n in range(30)}
