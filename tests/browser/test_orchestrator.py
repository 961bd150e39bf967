"""The page of the orchestrator before a real cluster: what waits, how it goes, and orders to workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import deploy, write_pipeline

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


async def shown(page: Page, selector: str, text: str) -> Locator:
    found = page.locator(selector).filter(has_text=text).first
    await found.wait_for()
    return found


async def order(page: Page, button: str, verb: str) -> None:
    await page.get_by_role("button", name=button).click()
    await page.get_by_role("dialog").get_by_role("button", name=verb, exact=True).click()
    await page.get_by_role("dialog").wait_for(state="detached")


async def test_what_waits_and_how_it_goes_is_shown_and_workers_take_orders_from_the_page(
    cluster: Cluster, page: Page
) -> None:
    jobs = [
        {"id": "quick", "command": "true"},
        {"id": "fails", "command": "exit 3", "retries": 0},
        {"id": "held", "command": "true", "depends_on": ["gpu-0"]},
        *({"id": f"gpu-{n}", "command": "true", "requirement": "GPU"} for n in range(3)),
    ]
    run = await deploy(cluster, write_pipeline(cluster.data / "waits.yaml", jobs))

    for member in cluster.masters:  # a follower asks the leader
        await page.goto(f"http://{member.http}/")
        queue = await shown(page, ".queues li", "no worker offers GPU")
        assert await queue.locator(".number").inner_text() == "3"
        await shown(page, ".depths li", "1 held")
        await shown(page, ".worker-card", "just now")
        await shown(page, ".worker-card dd", "CPU")
    await shown(page, ".recent li", run)

    await (
        page.locator(".spark svg path.spark-line").nth(2).wait_for(state="attached")
    )  # flat is no area
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{cluster.masters[0].http}/api/v1/pulse") as answer,
    ):
        beats = (await answer.json())["beats"]
    assert sum(beat["attempts"] for beat in beats) == 2
    assert sum(beat["failed"] for beat in beats) == 1

    await order(page, "cordon worker-1", "Cordon")
    await shown(page, ".worker-card[aria-label=worker-1] .badge", "cordoned")
    assert {one.name: one.state for one in await cluster.client.list_workers()} == {
        "worker-1": "cordoned",
        "worker-2": "online",
    }
    await order(page, "uncordon worker-1", "Uncordon")
    await shown(page, ".worker-card[aria-label=worker-1] .badge", "online")

    await page.get_by_role("button", name="drain worker-2").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await order(page, "drain worker-2", "Drain")
    await shown(page, ".worker-card[aria-label=worker-2] .badge", "lost")
    assert await page.get_by_role("button", name="worker-2").count() == 0
