"""The dashboard in a real browser before a real cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.cluster import Cluster, kill
from tests.cluster.pipelines import deploy, write_pipeline

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def base(cluster: Cluster, at: int = 0) -> str:
    return f"http://{cluster.masters[at].http}"


async def expect_text(page: Page, selector: str, text: str) -> None:
    await page.locator(selector).filter(has_text=text).first.wait_for()


async def test_a_pipeline_is_drawn_written_deployed_and_watched(
    cluster: Cluster, page: Page
) -> None:
    await page.goto(f"{base(cluster)}/dags/new")
    await page.get_by_role("button", name="Task").click()
    await page.get_by_label("id", exact=True).fill("first")
    await page.get_by_label("id", exact=True).press("Enter")
    await page.get_by_role("button", name="Task").click()  # comes after the chosen one
    await page.locator(".react-flow__node").nth(1).wait_for()
    assert "depends_on: [first]" in await page.locator(".cm-content").inner_text()

    await page.keyboard.press("Escape")
    await page.locator(".react-flow__node[data-id=task]").click()
    await page.get_by_role("button", name="Duplicate").click()
    await page.locator(".react-flow__node[data-id=task-2]").wait_for()
    await page.get_by_role("button", name="Undo").click()
    await page.locator(".react-flow__node[data-id=task-2]").wait_for(state="detached")
    await page.get_by_role("button", name="Redo").click()
    await page.locator(".react-flow__node[data-id=task-2]").wait_for()

    await draw(page, "task", "first")  # would close a circle
    text = await page.locator(".cm-content").inner_text()
    assert text.count("depends_on") == 2, text

    editor = page.locator(".cm-content")
    await editor.click()
    await page.keyboard.press("Control+End")
    await page.keyboard.type("  - id: typed\ncomand: x\n")
    await expect_text(page, ".flaws", "unknown field")
    assert await page.get_by_role("button", name="Deploy").is_disabled()
    await page.locator(".react-flow__node[data-id=typed]").wait_for()
    await editor.click()
    await page.keyboard.press("Control+a")
    lines = "name: drawn\njobs:\n  - id: first\n    command: echo '<b>one</b>'\n"
    await page.keyboard.insert_text(
        lines + "  - id: last\n    command: 'true'\n    depends_on: [first]\n"
    )
    await expect_text(page, ".flaws", "it can run")
    await expect_text(page, "[role=status]", "draft saved")
    await page.reload()  # the draft is in the cluster
    await page.locator(".react-flow__node[data-id=last]").wait_for()
    await expect_text(page, ".flaws", "it can run")
    await page.get_by_role("button", name="Deploy").click()
    await page.wait_for_url("**/runs/r-*")
    await expect_text(page, ".run-head .badge", "completed")
    await page.locator(".react-flow__node[data-id=first]").click()
    await expect_text(page, ".log .line", "<b>one</b>")

    await page.get_by_role("button", name="Redeploy").click()
    await page.locator(".react-flow__node[data-id=first].selected").wait_for(state="detached")
    await expect_text(page, ".run-head .badge", "completed")
    runs = await cluster.client.list_runs()
    assert [run.name for run in runs] == ["drawn", "drawn"]


async def draw(page: Page, source: str, target: str) -> None:
    """An edge by the mouse, from one handle to another."""
    start = page.locator(f".react-flow__node[data-id={source}] .react-flow__handle-right")
    end = page.locator(f".react-flow__node[data-id={target}] .react-flow__handle-left")
    await start.hover()
    await page.mouse.down()
    await end.hover()
    await page.mouse.up()


async def test_two_tabs_do_not_overwrite_each_others_draft(cluster: Cluster, page: Page) -> None:
    url = f"{base(cluster)}/dags/new?draft=shared"
    await page.goto(url)
    await page.get_by_role("button", name="Task").click()
    await expect_text(page, "[role=status]", "draft saved")
    other = await page.context.new_page()
    await other.goto(f"{base(cluster, 1)}/dags/new?draft=shared")
    await other.locator(".react-flow__node[data-id=task]").wait_for()
    await other.get_by_role("button", name="Task").click()
    await expect_text(other, "[role=status]", "draft saved")
    await page.get_by_role("button", name="Task").click()
    await page.get_by_role("button", name="Task").click()
    await expect_text(page, "[role=alert]", "changed in another tab")
    await page.get_by_role("button", name="Take theirs").click()
    await page.locator(".react-flow__node[data-id=task-3]").wait_for(state="detached")
    await page.locator(".react-flow__node[data-id=task-2]").wait_for()


async def test_a_page_goes_on_at_another_master_without_a_reload(
    cluster: Cluster, page: Page
) -> None:
    command = "for n in $(seq 1 60); do echo line $n; sleep 0.1; done"
    jobs: list[dict[str, Any]] = [{"id": "talks", "command": command}]
    jobs += [{"id": f"j{n}", "command": "sleep 0.2", "depends_on": ["talks"]} for n in range(5)]
    run = await deploy(cluster, write_pipeline(cluster.data / "live.yaml", jobs))
    leader = await cluster.leader()
    at = next(n for n, member in enumerate(cluster.masters) if member is leader)
    await page.goto(f"{base(cluster, at)}/runs/{run}")
    await page.locator(".react-flow__node[data-id=talks]").click()
    await page.evaluate("window.sameDocument = true")
    await expect_text(page, ".log .line", "line 10")
    kill(leader)
    await expect_text(page, ".log .line", "line 60")
    await expect_text(page, ".run-head .badge", "completed")
    served = await page.locator(".status .live code").inner_text()
    assert served != leader.http
    assert await page.evaluate("window.sameDocument")
    shown = await page.locator(".log .line").all_inner_texts()
    numbers = [int(line.split()[-1]) for line in shown]
    assert numbers == list(range(numbers[0], 61)), "every line once, none missed"


async def test_names_values_and_output_are_never_html(cluster: Cluster, page: Page) -> None:
    await cluster.client.store_put(HOSTILE, HOSTILE)
    job = {
        "id": "a",
        "command": ["printf", "%s\\n\\033[31m%s\\033[0m\\n", HOSTILE, HOSTILE],
        "env": {"X": HOSTILE},
    }
    path = write_pipeline(cluster.data / "hostile.yaml", [job], name=HOSTILE)
    run = await deploy(cluster, path)
    await cluster.wait_over(run, timeout_s=20)
    for place in ("/", "/runs", f"/runs/{run}", "/keys", "/events", f"/dags/new?run={run}"):
        await page.goto(base(cluster) + place)
        await expect_text(page, "#main", "onerror=alert(1)" if place != "/events" else run)
        assert not await foreign(page), place
    await page.goto(f"{base(cluster)}/runs/{run}")
    await page.locator(".react-flow__node").click()
    await expect_text(page, ".log .ansi-red", HOSTILE)
    await page.get_by_role("tab", name="declaration").click()
    await expect_text(page, ".declaration", HOSTILE)
    await page.goto(f"{base(cluster)}/dags/new?run={run}")
    await page.get_by_role("tab", name="Python").click()
    await expect_text(page, ".cm-content", "onerror")
    assert not await foreign(page)


async def foreign(page: Page) -> list[str]:
    """Elements that no page of ours makes; beside a mark, the editor has an empty image of its own."""
    found: list[str] = await page.locator(
        "#main img:not(.cm-widgetBuffer), #main script"
    ).evaluate_all("found => found.map((each) => each.outerHTML)")
    return found


async def test_a_live_run_grows_by_a_job_from_the_page(cluster: Cluster, page: Page) -> None:
    jobs = [{"id": "long", "command": "sleep 20"}, {"id": "quick", "command": "true"}]
    run = await deploy(cluster, write_pipeline(cluster.data / "grow.yaml", jobs))
    await page.goto(f"{base(cluster)}/runs/{run}")
    await page.locator(".react-flow__node[data-id=quick]").click()
    await page.get_by_role("button", name="Add job").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("command").fill("echo grown")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await page.locator(".react-flow__node[data-id=after-quick] .state-completed").wait_for()
    await page.get_by_role("tab", name="gantt").click()
    await page.locator(".gantt canvas").wait_for()
    await page.get_by_role("tab", name="list").click()
    await expect_text(page, ".job-row", "after-quick")
    await page.get_by_role("button", name="Stop").click()
    await cluster.wait_over(run, timeout_s=20)


async def test_a_gate_is_answered_with_its_form(cluster: Cluster, page: Page) -> None:
    form = {"size": {"type": "int", "required": True}, "colour": {"choices": ["red", "blue"]}}
    jobs = [
        {"id": "ask", "type": "gate", "hitl_message": "How <b>large</b>?", "form": form},
        {"id": "then", "command": "true", "depends_on": ["ask"]},
    ]
    run = await deploy(cluster, write_pipeline(cluster.data / "gate.yaml", jobs))
    await page.goto(f"{base(cluster)}/runs/{run}")
    await expect_text(page, ".gate", "How <b>large</b>?")
    await page.get_by_label("size").fill("7")
    await page.get_by_label("colour").select_option(label="blue")
    assert await page.get_by_role("button", name="Approve").is_disabled(), "nobody has a name yet"
    await page.locator(".gate .who").click()
    await page.get_by_role("dialog").get_by_label("name").fill("ada")
    await page.get_by_role("button", name="Keep it").click()
    await expect_text(page, ".rail .who", "ada")
    await page.get_by_role("button", name="Approve").click()
    await expect_text(page, ".run-head .badge", "completed")
    assert await cluster.client.get_output("ask", run) == {"size": 7, "colour": "blue"}


async def test_a_thousand_jobs_are_drawn_as_they_finish(cluster: Cluster, page: Page) -> None:
    jobs: list[dict[str, Any]] = [{"id": "hold", "command": "sleep 6"}]
    jobs += [
        {
            "id": f"j{level}-{n}",
            "command": "sleep 0.02",
            "depends_on": [f"j{level - 1}-{n}"] if level else ["hold"],
        }
        for level in range(10)
        for n in range(100)
    ]
    await page.add_init_script(MEASURE)
    run = await deploy(cluster, write_pipeline(cluster.data / "many.yaml", jobs))
    await page.goto(f"{base(cluster)}/runs/{run}")
    await expect_text(page, ".pills", "1000 pending")
    await page.locator(".far-boxes path").first.wait_for()
    await page.evaluate("window.paints = []; window.ends = []")
    await cluster.wait_over(run, timeout_s=90)
    await expect_text(page, ".pills", "1001 completed")
    await page.locator(".far-boxes .state-completed[data-count='1001']").wait_for()
    spans = sorted(await page.evaluate("window.paints"))
    print(f"from message to paint, ms: {_shares(spans)} of {len(spans)}")  # noqa: T201
    whole = sorted(await page.evaluate("window.ends"))
    print(f"from commit to paint, ms: {_shares(whole)} of {len(whole)}")  # noqa: T201
    assert await page.locator(".react-flow__node").count() == 0, (
        "a picture, not a thousand elements"
    )
    box = await page.locator(".far-boxes path").bounding_box()
    assert box is not None
    x, y = box["x"] + 4, box["y"] + box["height"] / 2  # the first job stands alone in its column
    await page.mouse.move(x, y)
    await page.locator(".react-flow[title=hold]").wait_for()
    await page.mouse.click(x, y)
    await page.get_by_role("complementary", name="Job hold").wait_for()
    await page.locator(".react-flow__node[data-id=hold]").wait_for()  # near enough to be read
    await page.get_by_role("tab", name="gantt").click()
    await expect_text(page, ".gantt-words", "1001 jobs")


def _shares(spans: list[float]) -> str:
    def at(share: float) -> float:
        return spans[min(len(spans) - 1, int(share * len(spans)))]

    return f"p50 {at(0.5):.0f}, p99 {at(0.99):.0f}, max {spans[-1]:.0f}" if spans else "none"


# When a piece of the stream with jobs arrives, and when the frame after it has been painted.
MEASURE = """
window.paints = []; window.ends = [];
const read = ReadableStreamDefaultReader.prototype.read;
ReadableStreamDefaultReader.prototype.read = function () {
  return read.call(this).then((piece) => {
    if (typeof piece.value === "string" && piece.value.includes("event: jobs")) {
      const came = performance.now();
      const ended = [...piece.value.matchAll(/"ended_ms":(\\d{13})/g)].map((match) => Number(match[1]));
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => {
          window.paints.push(performance.now() - came);
          const now = Date.now();
          window.ends.push(...ended.map((each) => now - each));
        };
        channel.port2.postMessage(0);
      });
    }
    return piece;
  });
};
"""


async def test_keys_are_read_and_written(cluster: Cluster, page: Page) -> None:
    await cluster.client.store_put("a/b", "one")
    await page.goto(f"{base(cluster)}/keys")
    await page.get_by_role("button", name="a/b").click()
    await page.get_by_label("value").fill("two")
    await cluster.client.store_put("a/c", "new")
    await page.get_by_role("button", name="a/c").wait_for()  # live
    await page.get_by_role("button", name="Save").click()
    async with asyncio.timeout(10):
        while await cluster.client.store_get("a/b") != "two":
            await asyncio.sleep(0.05)
