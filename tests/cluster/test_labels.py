"""Labels through a real cluster: given by file, command and HTTP, found by command and HTTP, kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster, titan
from tests.cluster.pipelines import write_pipeline
from titan.sdk import TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

JOBS: list[dict[str, Any]] = [{"id": "a", "command": "true"}]


async def call(cluster: Cluster, *arguments: str, code: int = 0) -> str:
    got, out, err = await titan(*arguments, env={"TITAN_MASTERS": ",".join(cluster.addresses)})
    assert got == code, (got, out, err)
    return out if code == 0 else err


async def ask(cluster: Cluster, method: str, path: str, body: Any = None) -> Any:
    url = f"http://{cluster.masters[0].http}{path}"
    async with (
        aiohttp.ClientSession(headers={"X-Titan-Request": "1"}) as session,
        session.request(method, url, json=body) as answer,
    ):
        return await answer.json()


async def test_labels_are_given_shown_kept_and_found(single: Cluster, tmp_path: Path) -> None:
    path = write_pipeline(tmp_path / "p.yaml", JOBS, labels={"team": "data", "v": "1"})
    handle = await single.client.submit_job(TitanJob("a", command="true", requirement="NOWHERE"))
    by_cli = (await call(single, "deploy", str(path), "--label", "v=2", "--label", "cli=")).split()[
        -1
    ]
    body = {"yaml": path.read_text(), "labels": {"team": "web"}}
    by_http = (await ask(single, "POST", "/api/v1/runs", body))["run"]
    again = (await ask(single, "POST", f"/api/v1/runs/{by_cli}/redeploy", {}))["run"]
    assert {one: (await single.client.get_run(one)).labels for one in (by_cli, by_http, again)} == {
        by_cli: {"team": "data", "v": "2", "cli": ""},
        by_http: {"team": "web", "v": "1"},
        again: {"team": "data", "v": "2", "cli": ""},
    }
    shown, listed, refused, status = await asyncio.gather(
        call(single, "status", by_cli),
        call(single, "runs", "--label", "team=data", "--label", "cli", "--json"),
        call(single, "runs", "--label", "=x", code=2),
        call(single, "status", by_http, "--json"),
    )
    assert "labels: cli=, team=data, v=2" in shown
    assert [run["id"] for run in json.loads(listed)] == [again, by_cli]
    assert "label: '' is no key of a label" in refused
    assert json.loads(status)["labels"] == {"team": "web", "v": "1"}
    page = await ask(single, "GET", "/api/v1/runs?label=team=data&label=v=2")
    assert [run["id"] for run in page["items"]] == [again, by_cli]
    page = await ask(single, "GET", "/api/v1/runs?label=team&limit=1")
    assert [run["id"] for run in page["items"]] == [again]
    page = await ask(single, "GET", f"/api/v1/runs?label=team&limit=2&before={page['next']}")
    assert [run["id"] for run in page["items"]] == [by_http, by_cli]
    source = await ask(single, "GET", f"/api/v1/runs/{by_http}/source")
    assert source["pipeline"]["labels"] == {"team": "web", "v": "1"}
    assert (await ask(single, "GET", "/api/v1/runs?label="))["code"] == "user_error"
    assert (await single.client.why("a", handle)).run == handle.id
