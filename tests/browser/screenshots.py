"""`make screenshots`: every page of the dashboard in dark and light, of a real cluster with real runs."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from PIL import Image

from tests.browser.chromium import chromium, why_not
from tests.cluster.cluster import Cluster

if TYPE_CHECKING:
    from playwright.async_api import Page, ViewportSize

COLOURS: Final = 256  # all that a palette holds
SIZE: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
HEADERS: Final = {"X-Titan-Request": "1"}


def etl() -> list[dict[str, Any]]:
    """A run with something to see: levels, a retry, a failure, what waits behind it."""
    fetch = "for n in $(seq 1 40); do printf '\\033[32mgot\\033[0m part %s of 40\\n' $n; done; sleep 0.6"
    jobs: list[dict[str, Any]] = [{"id": "plan", "command": "sleep 0.5; echo 3 regions"}]
    for region in ("eu", "us", "asia"):
        jobs += [
            {"id": f"fetch-{region}", "command": fetch, "depends_on": ["plan"]},
            {
                "id": f"clean-{region}",
                "command": "test $TITAN_ATTEMPT_NUMBER -gt 1 2>/dev/null || sleep 0.9",
                "depends_on": [f"fetch-{region}"],
            },
        ]
    jobs += [
        {"id": "check", "command": "echo 'row 17: no price' >&2; exit 3", "retries": 1,
         "retry_backoff_ms": 300, "depends_on": ["clean-asia"]},
        {"id": "join", "command": "sleep 90", "depends_on": ["clean-eu", "clean-us"]},
        {"id": "train", "command": "true", "requirement": "GPU", "depends_on": ["clean-eu"]},
        {"id": "publish", "command": "true", "depends_on": ["join", "check"]},
    ]  # fmt: skip
    return jobs


def nightly() -> dict[str, Any]:
    return {
        "name": "nightly-report",
        "project": False,
        "parameters": {"region": {"choices": ["eu", "us"], "default": "eu"}, "rows": 1000},
        "jobs": [{"id": "report", "command": "echo $TITAN_PARAM_region"}],
    }


SCHEDULES: Final[dict[str, dict[str, Any]]] = {
    "nightly-report": {
        "cron": "30 2 * * *", "timezone": "Europe/Berlin", "overlap": "skip", "catchup": "last",
        "jitter": 120,
    },
    "report-us": {
        "cron": "0 9 * * 1-5", "timezone": "America/New_York", "pipeline": "nightly-report",
        "parameters": {"region": "us"},
    },
    "every-ten-seconds": {"cron": "*/10 * * * * *", "pipeline": "nightly-report", "overlap": "queue"},
    "yearly": {"cron": "@yearly", "pipeline": "nightly-report", "paused": True},
}  # fmt: skip


def mortal(name: str, command: str) -> dict[str, Any]:
    return {"id": name, "command": command, "retries": 1, "retry_backoff_ms": 100}


def wide(*, width: int, depth: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"part-{level}-{column}",
            "command": "sleep 0.05",
            "depends_on": [f"part-{level - 1}-{column}"] if level else [],
        }
        for level in range(depth)
        for column in range(width)
    ]


class Scene:
    """A cluster with enough in it to be looked at."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.base = f"http://{cluster.masters[0].http}"

    async def change(self, method: str, path: str, body: Any, *, who: str = "ada") -> Any:
        headers = {**HEADERS, "X-Titan-Who": f"dashboard {who}"}
        async with self._session.request(
            method, self.base + path, json=body, headers=headers
        ) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def submit(self, name: str, jobs: list[dict[str, Any]], *, agent: str = "") -> str:
        pipeline = {"name": name, "project": False, "jobs": jobs}
        body = {"yaml": json.dumps(pipeline), "agent_run_id": agent, "owner": "ada"}
        run: str = (await self.change("POST", "/api/v1/runs", body))["run"]
        return run

    async def fill(self) -> str:
        """Answers the run to look at."""
        for stage, seconds in (
            ("research", 0.8),
            ("draft", 0.5),
            ("critique", 0.4),
            ("revise", 0.6),
        ):
            jobs = [{"id": f"{stage}-{n}", "command": f"sleep {seconds}"} for n in range(2)]
            await self.submit(stage, jobs, agent="essay-on-rafts")
            await asyncio.sleep(seconds / 2)
        await self.submit("map-reduce", wide(width=24, depth=4))
        for key, value in (
            ("config/region", "eu"),
            ("config/limits", '{"rows": 1000}'),
            ("seen", "17"),
        ):
            await self.change("PUT", f"/api/v1/store/{key.replace('/', '%2F')}", {"value": value})
        for member in ("red", "green", "blue"):
            await self.change("POST", "/api/v1/store/colours/sadd", {"member": member})
        service = {
            "id": "web",
            "type": "service",
            "port": 0,
            "command": "exec python3 -m http.server $TITAN_PORT",
        }
        await self.submit("site", [service])
        await self._schedules()
        await self._dead_letters()
        run = await self.submit("nightly-etl", etl())
        await asyncio.sleep(6)
        return run

    async def _schedules(self) -> None:
        yaml = json.dumps(nightly())
        await self.change("PUT", "/api/v1/pipelines/nightly-report", {"yaml": yaml})
        for name, timing in SCHEDULES.items():
            await self.change("PUT", f"/api/v1/schedules/{name}", timing, who="grace")
        await self.change("POST", "/api/v1/schedules/nightly-report/run", {}, who="grace")

    async def _dead_letters(self) -> None:
        imports = [
            mortal(
                "load-orders", "echo 'connected to 10.0.0.4'; echo 'lock wait timeout' >&2; exit 75"
            ),
            mortal("load-prices", "printf 'reading prices.csv\\nrow 17: no price\\n'; exit 3"),
        ]
        await self.submit("import", imports)
        await self.submit("thumbnails", [mortal("resize", "echo 'out of memory'; exit 137")])


def palette_of(picture: Image.Image) -> Image.Image:
    """With the colours that occur most, each as it is; only the others move to the nearest of them.

    A cut by the median spends its palette on the greys of letters, and the few pixels of an accent lose."""
    pixels = list(picture.getdata())
    counted = Counter(pixels).most_common()
    kept = [colour for colour, _ in counted[:COLOURS]]
    place = {colour: at for at, colour in enumerate(kept)}
    for colour, _ in counted[COLOURS:]:
        place[colour] = place[min(kept, key=lambda other: math.dist(other, colour))]
    made = Image.new("P", picture.size)
    made.putpalette([part for colour in kept for part in colour])
    made.putdata([place[pixel] for pixel in pixels])
    return made


async def shoot(page: Page, folder: Path, name: str) -> None:
    """One page in both themes."""
    for theme in ("dark", "light"):
        await page.evaluate(f"document.documentElement.dataset.theme = {theme!r}")
        await page.wait_for_timeout(450)
        path = folder / f"{name}-{theme}.png"
        await page.screenshot(path=path)
        palette_of(Image.open(path).convert("RGB")).save(path, optimize=True)


async def tour(page: Page, scene: Scene, run: str, folder: Path) -> None:
    """Every page."""
    base = scene.base
    await page.goto(base)
    await page.get_by_text("Newest runs").wait_for()
    await page.get_by_role("link", name="nightly-etl").wait_for()
    await page.locator(".worker-card").get_by_text("just now").first.wait_for()
    await page.locator(".spark-line").first.wait_for(state="attached")
    await page.set_viewport_size({"width": SIZE["width"], "height": 1500})
    await shoot(page, folder, "orchestrator")
    await page.set_viewport_size(SIZE)
    await page.goto(f"{base}/runs")
    await page.get_by_role("link", name="map-reduce").wait_for()
    await shoot(page, folder, "runs")
    await page.goto(f"{base}/runs/{run}")
    await page.locator(".react-flow__node[data-id=fetch-eu]").click()
    await page.get_by_text("part 40 of 40").wait_for()
    await shoot(page, folder, "run")
    await page.get_by_role("tab", name="gantt").click()
    await page.get_by_role("button", name="Close").click()
    await shoot(page, folder, "gantt")
    await page.goto(f"{base}/dags/new?run={run}")
    await page.locator(".react-flow__node[data-id=check]").click()
    await page.locator(".cm-content").wait_for()
    await page.get_by_text("it can run").wait_for()
    await shoot(page, folder, "constructor")
    await page.goto(f"{base}/services")
    await page.get_by_text("healthy").wait_for()
    await shoot(page, folder, "services")
    await page.goto(f"{base}/agents")
    await page.get_by_role("heading", name="essay-on-rafts").wait_for()
    await shoot(page, folder, "agents")
    await clock_tour(page, base, folder)
    await page.goto(f"{base}/keys")
    await page.get_by_role("button", name="config/limits").click()
    await shoot(page, folder, "keys")
    await page.goto(f"{base}/events")
    await page.locator("table.events").wait_for()
    await shoot(page, folder, "events")
    await page.goto(f"{base}/events?tab=audit")
    await page.get_by_text("schedule.set").first.wait_for()
    await shoot(page, folder, "audit")
    await page.set_viewport_size(PHONE)
    await page.goto(f"{base}/runs")
    await page.get_by_role("link", name="map-reduce").wait_for()
    await shoot(page, folder, "phone")
    await page.set_viewport_size(SIZE)


async def clock_tour(page: Page, base: str, folder: Path) -> None:
    """Schedules, and what has died."""
    await page.goto(f"{base}/schedules")
    await page.get_by_role("link", name="every-ten-seconds").wait_for()
    await shoot(page, folder, "schedules")
    await page.goto(f"{base}/schedules/nightly-report")
    await page.get_by_text("Europe/Berlin").first.wait_for()
    await shoot(page, folder, "schedule")
    await page.goto(f"{base}/dead")
    await page.get_by_role("button", name="Output of load-prices").click()
    await page.get_by_text("row 17: no price").wait_for()
    await shoot(page, folder, "dead")


async def main(folder: Path) -> None:
    """Start a cluster, fill it, look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="titan-screenshots-") as data:
        cluster = Cluster(Path(data), masters=3, workers=2, slots=4)
        try:
            await cluster.start()
            async with aiohttp.ClientSession() as session, chromium() as browser:
                scene = Scene(cluster, session)
                run = await scene.fill()
                page = await browser.new_page(viewport=SIZE)
                page.set_default_timeout(10_000)
                await tour(page, scene, run, folder)
        finally:
            await cluster.stop()


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"error: {reason}")
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screenshots")))
