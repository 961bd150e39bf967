"""Outputs and files of jobs over HTTP: what people see, and bytes that no browser runs."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import deploy, write_pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

PAGE = "<script>alert(1)</script>"


async def test_outputs_and_files_are_shown_in_words_and_sent_as_attachments(
    cluster: Cluster,
) -> None:
    many = 'mkdir many; for n in $(seq 300); do printf "%s" "$n" > "many/f$n"; done'
    left = f"mkdir out; printf '%s' '{PAGE}' > 'out/é.html'; touch out/empty; {many}"
    jobs: list[dict[str, Any]] = [
        {"id": "value", "command": "printf '{\"n\": 12345678901234567890}' > $TITAN_OUTPUT"},
        {"id": "large", "command": "yes abc | head -c 400000 > $TITAN_OUTPUT"},
        {"id": "bytes", "command": "printf '\\xff\\xfe' > $TITAN_OUTPUT"},
        {"id": "few", "command": left, "artifacts": {"out": ["out/**"]}},
        {"id": "many", "command": left, "artifacts": {"out": ["**"]}},
    ]
    run = await deploy(cluster, write_pipeline(cluster.data / "o.yaml", jobs))
    await cluster.wait_over(run, timeout_s=30)

    async with aiohttp.ClientSession(f"http://{cluster.masters[1].http}") as session:

        async def ask(job: str, what: str) -> tuple[int, bytes, Any]:
            async with session.get(f"/api/v1/runs/{run}/jobs/{job}/{what}") as answer:
                return answer.status, await answer.read(), answer.headers

        async def view(job: str, what: str) -> Any:
            status, body, _ = await ask(job, what)
            assert status == 200, body
            return json.loads(body)

        seen = await view("value", "output?consistent=1")
        assert (seen["kind"], seen["text"]) == ("json", '{\n  "n": 12345678901234567890\n}')
        seen = await view("large", "output")
        assert (seen["kind"], seen["size"], seen["is_cut"]) == ("text", 400_000, True)
        assert len(seen["text"]) == 256 * 1024
        assert (await view("bytes", "output"))["kind"] == "bytes"
        assert (await view("few", "output"))["kind"] == "none"
        status, body, headers = await ask("large", "output/raw")
        assert (status, len(body)) == (200, 400_000)
        _is_safe(headers)

        files = (await view("few", "artifacts"))["items"]
        assert [(file["path"], file["size"]) for file in files] == [
            ("out/empty", 0),
            ("out/é.html", len(PAGE)),
        ]
        for job in ("few", "many"):  # listed in the state; in a pack
            status, body, headers = await ask(job, "artifacts/file?path=out/%C3%A9.html")
            assert (status, body) == (200, PAGE.encode())
            _is_safe(headers)
            assert "filename*=UTF-8''%C3%A9.html" in headers["Content-Disposition"]
            assert (await ask(job, "artifacts/file?path=out/empty"))[:2] == (200, b"")
        page = await view("many", "artifacts?limit=100")
        assert len(page["items"]) == 100
        rest = await view("many", f"artifacts?after={page['next']}")
        assert len(rest["items"]) == 202
        assert rest["next"] is None
        for wrong in ("../../etc/passwd", "out", "nothing"):
            status, body, _ = await ask("few", f"artifacts/file?path={wrong}")
            assert (status, json.loads(body)["code"]) == (404, "not_found")
        assert (await ask("nobody", "output"))[0] == 404


def _is_safe(headers: Any) -> None:
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment;")
    assert headers["X-Content-Type-Options"] == "nosniff"
