"""A run's page before a real cluster: a graph changed while it lives, what jobs put out and left."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.test_dashboard import HOSTILE, base, draw, expect_text
from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import deploy, write_pipeline
from titan.fsm.commands.mutation import Change, Fields
from titan.ids import JobId

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def test_the_graph_of_a_live_run_is_changed_in_one_piece_and_back(
    cluster: Cluster, page: Page
) -> None:
    jobs: list[dict[str, Any]] = [
        {"id": "long", "command": "sleep 100"},
        {"id": "other", "command": "sleep 100"},
        {"id": "b", "command": "true", "depends_on": ["long"]},
        {"id": "c", "command": "true", "depends_on": ["b"]},
        {"id": "d", "command": "true", "depends_on": ["long"]},
    ]
    run = await deploy(cluster, write_pipeline(cluster.data / "live.yaml", jobs))
    await page.goto(f"{base(cluster)}/runs/{run}")
    await page.locator(".react-flow__node[data-id=other] .state-running").wait_for()
    await page.get_by_role("button", name="Change graph").click()

    await draw(page, "c", "b")
    await expect_text(page, ".edit-bar .problem", "would close a circle: b → c → b")
    await draw(page, "b", "other")
    await expect_text(page, ".edit-bar .problem", "other has started already")
    await draw(page, "other", "c")
    await expect_text(page, ".edit-lines", "+ other → c")
    await page.locator(".react-flow__node[data-id=c]").click()
    panel = page.locator(".job-panel")
    await panel.get_by_role("button", name="Cut b → c").click()
    await panel.get_by_label("priority").fill("7")
    await panel.get_by_label("priority").press("Enter")
    await page.locator(".react-flow__node[data-id=d]").click()
    await panel.get_by_role("button", name="Skip").click()
    await page.get_by_role("button", name="Add job").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("id", exact=True).fill("fresh")
    await dialog.get_by_label("command").fill("true")
    await dialog.get_by_label("parents").fill("long")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    assert [job.priority for job in (await specs(cluster, run)).values()] == [1] * 5, "not yet"

    change = Change(job=JobId("b"), set=Fields(priority=3))
    await cluster.client.mutate(run, [change], note="meanwhile")
    await expect_text(page, ".edit-news", "b: priority 1 → 3")
    await page.locator(".edit-bar .who").click()
    await page.get_by_role("dialog").get_by_label("name").fill("ada")
    await page.get_by_role("button", name="Keep it").click()
    await expect_text(page, ".rail .who", "ada")
    await page.get_by_label("Why").fill("holes")
    await page.get_by_role("button", name="Apply 5 changes").click()
    await page.locator(".edit-bar").wait_for(state="detached")
    await page.locator(".react-flow__node[data-id=d] .state-skipped").wait_for()
    after = await specs(cluster, run)
    assert after["c"].depends_on == ("other",)
    assert (after["b"].priority, after["c"].priority) == (3, 7)
    assert after["fresh"].depends_on == ("long",)

    await _look_back_and_undo(cluster, page, run)
    await page.get_by_role("button", name="Stop").click()
    await cluster.wait_over(run, timeout_s=20)


async def _look_back_and_undo(cluster: Cluster, page: Page, run: str) -> None:
    await page.get_by_role("tab", name="history").click()
    newest = page.locator(".history tbody tr").first
    await newest.filter(has_text="ada").filter(has_text="holes").wait_for()
    await page.get_by_role("button", name="Look at the graph before all of them").click()
    await expect_text(page, ".edit-bar", "+ fresh")
    await page.locator(".react-flow__node[data-id=fresh]").wait_for(state="detached")
    await page.get_by_role("button", name="Back to now").click()
    await page.locator(".react-flow__node[data-id=fresh]").wait_for()
    await page.get_by_role("tab", name="history").click()
    await newest.get_by_role("button", name="Undo").click()
    await expect_text(page, ".history", "undid revision")
    assert (await specs(cluster, run))["c"].depends_on == ("b",)


async def specs(cluster: Cluster, run: str) -> dict[str, Any]:
    return {str(job.id): job.fields for job in (await cluster.client.graph(run)).jobs}


async def test_what_a_job_printed_put_out_and_left_is_looked_at_and_never_run(
    cluster: Cluster, page: Page
) -> None:
    value = json.dumps({"page": HOSTILE, "large": 2**70, "rows": [1, 2]})
    left = (
        f"mkdir out; printf '%s' '{HOSTILE}' > out/page.html; echo {PNG} | base64 -d > out/dot.png; "
        f"head -c 3000000 /dev/zero > out/zeros; printf '%s' '{value}' > $TITAN_OUTPUT; "
        "seq -f 'line %.0f of many' 100000; printf '\\033[31mred\\033[0m end\\n'"
    )
    large = "yes '<b>abc' | head -c 400000 > $TITAN_OUTPUT"
    jobs: list[dict[str, Any]] = [
        {"id": "all", "command": left, "artifacts": {"out": ["out/**"]}},
        {"id": "large", "command": large},
        {"id": "waits", "command": "true", "requirement": "GPU"},
    ]
    run = await deploy(cluster, write_pipeline(cluster.data / "files.yaml", jobs))
    await page.goto(f"{base(cluster)}/runs/{run}")
    await page.locator(".react-flow__node[data-id=all] .state-completed").wait_for()
    await page.locator(".react-flow__node[data-id=all]").click()
    panel = page.locator(".job-panel")

    await expect_text(page, ".log .ansi-red", "red")  # it follows to the end
    await expect_text(page, ".log-state", "100001 lines, complete")
    assert await page.locator(".log .line").count() < 200, "only what is seen is drawn"
    await page.get_by_label("Search in the output").fill("line 777 ")
    await expect_text(page, ".log-state", "1 of 100001")
    async with page.expect_download() as saved:
        await panel.get_by_role("link", name="download").click()
    path = await (await saved.value).path()
    assert (await asyncio.to_thread(path.read_bytes)).count(b"\n") == 100_001

    await panel.get_by_role("tab", name="output").click()
    await expect_text(page, ".value", f'"large": {2**70}')
    await expect_text(page, ".value", "onerror=alert(1)")
    await panel.get_by_role("tab", name="artifacts").click()
    await expect_text(page, ".artifacts", "2.9 MiB")
    assert await panel.get_by_role("button", name="out/zeros").is_disabled()
    await panel.get_by_role("button", name="out/page.html").click()
    await expect_text(page, ".artifacts .value", HOSTILE)
    await panel.get_by_role("button", name="out/dot.png").click()
    await page.locator("img.preview").wait_for()
    assert await page.evaluate("document.querySelector('img.preview').naturalWidth") == 1
    assert await page.locator("#main img:not(.preview), #main script").count() == 0
    async with page.expect_download() as saved:
        await panel.get_by_role("row", name="page.html").get_by_role("link").click()
    assert (await saved.value).suggested_filename == "page.html"
    await panel.get_by_role("tab", name="attempts").click()
    await expect_text(page, ".job-panel tbody tr", "done")

    await page.locator(".react-flow__node[data-id=large]").click()
    await panel.get_by_role("tab", name="output").click()
    await expect_text(page, ".value-tools", "its beginning")
    await page.locator(".react-flow__node[data-id=waits]").click()
    await panel.get_by_role("button", name="Why does it wait?").click()
    await expect_text(page, ".why", "GPU")
    await page.get_by_role("button", name="Stop").click()
