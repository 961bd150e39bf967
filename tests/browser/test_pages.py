"""Schedules, dead letters and the audit in a real browser; every page on a phone and by the keyboard."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster, titan
from tests.cluster.pipelines import deploy, write_pipeline

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PHONE = {"width": 390, "height": 844}


def base(cluster: Cluster, at: int = 0) -> str:
    return f"http://{cluster.masters[at].http}"


async def change(cluster: Cluster, method: str, path: str, body: Any = None) -> Any:
    headers = {"X-Titan-Request": "1", "X-Titan-Who": "deploy-bot"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, base(cluster) + path, json=body or {}, headers=headers) as answer,
    ):
        found = await answer.json()
        assert answer.status == 200, found
        return found


async def save_pipeline(cluster: Cluster, name: str) -> None:
    pipeline = {
        "name": name,
        "project": False,
        "parameters": {"region": {"choices": ["eu", "us"], "default": "eu"}},
        "jobs": [{"id": "report", "command": "echo $TITAN_PARAM_region"}],
    }
    await change(cluster, "PUT", f"/api/v1/pipelines/{name}", {"yaml": json.dumps(pipeline)})


async def shown(page: Page, selector: str, text: str) -> None:
    await page.locator(selector).filter(has_text=text).first.wait_for()


async def test_a_schedule_is_set_run_paused_backfilled_and_deleted_and_the_audit_says_by_whom(
    cluster: Cluster, page: Page
) -> None:
    await save_pipeline(cluster, "report")
    await page.goto(f"{base(cluster)}/schedules")
    await page.get_by_role("button", name="your name").click()
    await page.get_by_role("dialog").get_by_label("name").fill("ada")
    await page.get_by_role("button", name="Keep it").click()

    await page.get_by_role("link", name="New schedule").click()
    await page.get_by_label("name", exact=True).fill("daily/eu")
    await page.get_by_label(re.compile("^pipeline")).select_option("report")
    await page.get_by_label("region").select_option(label="us")
    await page.get_by_label("cron", exact=True).fill("30 25 * * *")
    await shown(page, "#cron-means", "not a cron expression")
    assert await page.get_by_role("button", name="Set the schedule").is_disabled()
    await page.get_by_label("cron", exact=True).fill("30 2 * * *")
    await page.get_by_label("time zone").fill("Europe/Berlin")
    await shown(page, "#cron-means", "At 02:30 every day")
    await page.get_by_role("button", name="Set the schedule").click()

    await page.get_by_role("heading", name="daily/eu").wait_for()
    await shown(page, ".facts", '{"region":"us"}')
    assert await page.locator(".upcoming li").count() == 10
    await page.get_by_role("button", name="Run now").click()
    await shown(page, "[role=status]", "Started run")
    await shown(page, "table.rows", "manual")
    await page.get_by_role("button", name="Pause").click()
    await shown(page, ".page-head", "paused")

    await page.get_by_role("button", name="Backfill").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("from (UTC)").fill("2026-10-24T00:00")
    await dialog.get_by_label("until, not included (UTC)").fill("2026-10-27T00:00")
    await shown(page, "[role=dialog] [role=status], dialog [role=status]", "3 times")
    await dialog.get_by_role("button", name="start 3 runs").click()
    await page.locator("table.rows tbody tr").nth(3).wait_for()  # one by hand and the three
    view = await cluster.client.get_schedule("daily/eu")
    hours = sorted(
        one.nominal_ms // 3_600_000 % 24 for one in view.firings if one.kind == "backfill"
    )
    assert hours == [0, 0, 1], "02:30 in Berlin, before and after the clocks change"

    await page.goto(f"{base(cluster, 1)}/schedules")  # another master
    await shown(page, "table.rows", "Europe/Berlin")
    await cluster.client.resume_schedule("daily/eu")
    await shown(page, "table.rows", "active")  # by push
    await page.get_by_role("link", name="daily/eu").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await shown(page, "#main", "No schedules")

    await _the_audit_tells(cluster, page)


async def _the_audit_tells(cluster: Cluster, page: Page) -> None:
    code, _, err = await titan("store", "set", "k", "v", "--masters", ",".join(cluster.addresses))
    assert code == 0, err
    await page.get_by_role("link", name="Events").click()
    await page.get_by_role("tab", name="who did what").click()
    await shown(page, "table.rows", "kv.put")
    rows = await page.locator("table.rows tbody tr").all_inner_texts()
    told = [row.split("\t")[1:3] for row in rows]
    cli, *others = told
    assert "@" in cli[0], cli
    assert "cli" in cli[0], cli
    assert [what for _, what in others[:2]] == ["schedule.delete", "schedule.resume"]
    mine = [what for who, what in told if who.startswith("ada")]
    assert mine == ["schedule.backfill", "schedule.pause", "schedule.trigger", "schedule.set"]
    assert "session-" in others[0][0], "a name is kept with the address where it was given"
    await page.get_by_label("Filter by who").fill("deploy-bot")
    await page.locator("table.rows tbody tr").nth(1).wait_for(state="detached")
    await shown(page, "table.rows", "pipeline.save")
    code, out, err = await titan(
        "audit", "--who", "ADA", "--kind", "schedules", "--since", "1h", "--json",
        "--masters", ",".join(cluster.addresses),
    )  # fmt: skip
    assert code == 0, err
    assert [one["action"] for one in json.loads(out)] == mine


async def test_dead_letters_are_found_read_and_replayed(cluster: Cluster, page: Page) -> None:
    flag = cluster.data / "mended"
    fail = f"test -e {flag} && exit 0; echo '<b>no price</b>' >&2; exit 3"

    def mortal(name: str) -> dict[str, Any]:
        return {"id": name, "command": fail, "retries": 1, "retry_backoff_ms": 10}

    one = await deploy(
        cluster,
        write_pipeline(cluster.data / "one.yaml", [mortal("a"), mortal("b")], name="imports"),
    )
    await page.goto(f"{base(cluster)}/dead")
    await shown(page, "#main", "2 letters")  # by push, as they die
    two = await deploy(
        cluster, write_pipeline(cluster.data / "two.yaml", [mortal("c")], name="exports")
    )
    await shown(page, "#main", "3 letters")
    await page.get_by_role("button", name="Output of c of exports").click()
    await shown(page, ".tail", "<b>no price</b>")
    await shown(page, ".letter-detail", "with exit code 3")

    await page.get_by_label("Filter by run, pipeline or job").fill("IMPORT")
    await shown(page, "#main", "2 match")
    await page.get_by_label("Filter by reason").fill("nothing like it")
    await shown(page, "#main", "No dead letter matches")
    await page.get_by_label("Filter by reason").fill("")
    flag.touch()
    await page.get_by_label("Select a of imports").check()
    await page.get_by_role("button", name="Replay selected (1)").click()
    await shown(page, "#main", "1 match")
    await page.get_by_role("button", name="Replay all that match").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay 1", exact=True).click()
    await shown(page, "#main", "No dead letter matches")
    await page.get_by_label("Filter by run, pipeline or job").fill("")
    await page.get_by_role("button", name="Replay c of exports").click()
    await shown(page, "#main", "no job has used up its retries")
    for run in (one, two):
        assert (await cluster.wait_over(run, timeout_s=20)).state == "COMPLETED"


async def test_older_dead_letters_come_by_cursor(cluster: Cluster, page: Page) -> None:
    jobs = [
        {"id": f"j{n}", "command": "exit 3", "retries": 1, "retry_backoff_ms": 0} for n in range(60)
    ]
    await deploy(cluster, write_pipeline(cluster.data / "many.yaml", jobs))
    await page.goto(f"{base(cluster)}/dead")
    await shown(page, "#main", "60 letters")
    assert await page.locator("td.pick").count() == 50
    await page.get_by_role("button", name="Older letters").click()
    await page.locator("td.pick").nth(59).wait_for()
    await page.get_by_role("button", name="Older letters").wait_for(state="detached")
    names = await page.locator("td[data-label=job]").all_inner_texts()
    assert sorted(names) == sorted(job["id"] for job in jobs)


OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const main = document.getElementById("main");
  const over = [document.documentElement.scrollWidth - width, main.scrollWidth - main.clientWidth];
  const clipped = (each) => {
    for (let up = each.parentElement; up !== null && up !== main; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return true;
    return false;
  };
  const sticksOut = (box) => box.width > 2 && box.right > width + 1;
  const wide = [...main.querySelectorAll("*")]
    .filter((each) => sticksOut(each.getBoundingClientRect()))
    .filter((each) => !clipped(each))
    .map((each) => `${each.tagName}.${each.className}`);
  return { over, wide: wide.slice(0, 5) };
}"""


async def test_every_page_fits_a_phone_and_the_menu_folds(cluster: Cluster, page: Page) -> None:
    await save_pipeline(cluster, "a-pipeline-with-a-rather-long-name-of-its-own")
    timing = {"cron": "*/10 * * * *", "pipeline": "a-pipeline-with-a-rather-long-name-of-its-own"}
    await change(cluster, "PUT", "/api/v1/schedules/s", timing)
    long = "x" * 100
    jobs: list[dict[str, Any]] = [
        {"id": long, "command": f"echo {long * 5} {'word ' * 40}; exit 3", "retries": 1,
         "retry_backoff_ms": 0},
        {"id": "web", "type": "service", "port": 0, "command": "exec python3 -m http.server $TITAN_PORT"},
        {"id": "ask", "type": "gate", "hitl_message": f"How {long}?", "form": {"size": {"type": "int"}}},
    ]  # fmt: skip
    await cluster.client.store_put(long, long * 3)
    path = write_pipeline(cluster.data / "wide.yaml", jobs, name=long)
    run = await deploy(cluster, path)
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    places = {
        "/": long, "/runs": long, f"/runs/{run}": "ask", f"/runs/{run}?job={long}": "output",
        f"/dags/new?run={run}": "it can run", "/schedules": "s", "/schedules/s": "Next ten",
        "/schedules/new": "It would fire", "/schedules/s/edit": "It would fire", "/services": "web",
        "/agents": "Agent runs", "/dead": long, "/keys": long, "/events": "run.submitted",
        "/events?tab=audit": "schedule.set",
    }  # fmt: skip
    for place, text in places.items():
        await page.goto(base(cluster) + place)
        await shown(page, "#main", text)
        found = await page.evaluate(OVERFLOW)
        assert found == {"over": [0, 0], "wide": []}, place
    await page.goto(f"{base(cluster)}/dead")
    await page.get_by_role("button", name=f"Output of {long}").click()
    await page.locator(".tail").wait_for()
    assert await page.evaluate(OVERFLOW) == {"over": [0, 0], "wide": []}

    menu = page.get_by_role("button", name="Menu")
    assert not await page.get_by_role("link", name="Schedules").is_visible()
    await menu.click()
    await page.get_by_role("link", name="Schedules").click()
    await page.get_by_role("heading", name="Schedules").wait_for()
    assert await menu.get_attribute("aria-expanded") == "false"


async def press_until(page: Page, key: str, role_name: str) -> None:
    """Press a key until the focus is on something that is called so."""
    deadline_s = time.monotonic() + 20
    seen: list[str] = []
    while time.monotonic() < deadline_s and len(seen) < 100:
        await page.keyboard.press(key)
        focused = await page.evaluate(
            "(({activeElement: it, body}) =>"
            " it === body ? '' : it.getAttribute('aria-label') || it.innerText || '')(document)"
        )
        seen.append(str(focused))
        if role_name in str(focused):
            return
    raise AssertionError(f"{key} never came to {role_name!r}; it went over {seen}")


async def test_the_main_pages_are_reached_and_used_by_keyboard(
    cluster: Cluster, page: Page
) -> None:
    await save_pipeline(cluster, "report")
    await change(
        cluster, "PUT", "/api/v1/schedules/daily", {"cron": "0 6 * * *", "pipeline": "report"}
    )
    job = {"id": "mortal", "command": "exit 3", "retries": 1, "retry_backoff_ms": 0}
    await deploy(cluster, write_pipeline(cluster.data / "p.yaml", [job], name="imports"))
    await page.goto(base(cluster))
    await page.get_by_role("link", name="imports").wait_for()
    await press_until(page, "Tab", "Skip to the page")
    await press_until(page, "Tab", "Runs")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Runs", exact=True).wait_for()
    await press_until(page, "Tab", "imports")
    await page.keyboard.press("Enter")
    await press_until(page, "Tab", "graph")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await page.locator("[role=tab][aria-selected=true]").filter(has_text="list").wait_for()
    await press_until(page, "Tab", "mortal")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Replay job").wait_for()

    await page.goto(f"{base(cluster)}/schedules/daily")
    await press_until(page, "Tab", "Pause")
    await page.keyboard.press("Enter")
    await shown(page, ".page-head", "paused")
    await press_until(page, "Tab", "Delete")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").wait_for(state="detached")
    focused = await page.evaluate("document.activeElement.innerText")
    assert focused.startswith("Delete"), "the focus is where it was"

    await page.goto(f"{base(cluster)}/dead")
    await shown(page, "#main", "1 letter")
    await press_until(page, "Tab", "Select mortal of imports")
    await page.keyboard.press("Space")
    await press_until(page, "Shift+Tab", "Replay selected (1)")

    await page.goto(f"{base(cluster)}/events")
    await press_until(page, "Tab", "what happened")
    await page.keyboard.press("ArrowRight")
    await shown(page, "table.rows", "schedule.pause")

    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await page.goto(f"{base(cluster)}/runs")
    await press_until(page, "Tab", "Menu")
    await page.keyboard.press("Enter")
    await press_until(page, "Tab", "Dead letters")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Dead letters").wait_for()


async def test_a_click_on_a_label_shows_the_runs_that_have_it(cluster: Cluster, page: Page) -> None:
    job: dict[str, Any] = {"id": "a", "command": "true"}
    for name, team in (("first", "data & co"), ("second", "web")):
        path = write_pipeline(cluster.data / f"{name}.yaml", [job], labels={"team": team})
        run = await deploy(cluster, path)
    await page.goto(f"{base(cluster)}/runs/{run}")
    await page.locator(".run-head .tag", has_text="team=web").click()
    await shown(page, ".rows", "second")
    assert await page.locator(".rows tbody tr").count() == 1
    box = page.get_by_role("searchbox")
    assert await box.input_value() == "team=web"
    await box.fill("team")
    await page.locator(".rows .tag", has_text="team=data & co").click()
    await page.locator(".rows tbody tr", has_text="second").wait_for(state="detached")
    await shown(page, ".rows", "first")
