"""`python -m tests.browser.smooth [--jobs 1000] [--trace FILE]`: how soon a page shows that jobs ended.

On a real cluster in a real browser. Prints one JSON object: milliseconds from a job's end (as the leader
stamped it) to the frame that shows it and from the piece of the stream to that frame, main thread tasks
over 50 ms, frames while somebody pans, and what the main thread has used of a processor, which does not
depend on how busy the machine is. With `--trace` the longest tasks in processor time as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.browser.chromium import chromium, why_not
from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import deploy, write_pipeline

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

ROW: Final = 100  # jobs beside one another
HOLD_S: Final = 12  # for the page to be there before the first job ends
OVER_S: Final = 400
SIZE: Final = {"width": 1280, "height": 800}
PAN_S: Final = 2.0
TRACED: Final = ("devtools.timeline", "disabled-by-default-devtools.timeline")

# When a piece of the stream with jobs arrives, and when the frame after it has been painted.
MEASURE: Final = """
window.paints = []; window.ends = []; window.bytes = 0; window.long = []; window.frames = [];
const read = ReadableStreamDefaultReader.prototype.read;
ReadableStreamDefaultReader.prototype.read = function () {
  return read.call(this).then((piece) => {
    if (typeof piece.value === "string" && piece.value.includes("event: jobs")) {
      const came = performance.now();
      window.bytes += piece.value.length;
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
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.long.push(task.duration);
}).observe({ type: "longtask" });
let before = 0;
const frame = (now) => {
  if (before) window.frames.push(now - before);
  before = now;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""
FORGET: Final = (
    "window.paints = []; window.ends = []; window.bytes = 0; window.long = []; window.frames = []"
)


def layers(count: int) -> list[dict[str, Any]]:
    """`count` short jobs in layers behind one that holds them back."""
    jobs: list[dict[str, Any]] = [{"id": "hold", "command": f"sleep {HOLD_S}"}]
    for at in range(count):
        level, column = divmod(at, ROW)
        above = f"j{level - 1}-{column}" if level else "hold"
        jobs.append({"id": f"j{level}-{column}", "command": "true", "depends_on": [above]})
    return jobs


def spread(spans: list[float]) -> dict[str, float]:
    """Of a list: how many, the middle, the worst."""
    ordered = sorted(spans)
    if not ordered:
        return {"count": 0}

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"count": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": at(1)}


async def measured(page: Page) -> dict[str, Any]:
    """What the page has noted since it was told to forget."""
    noted = await page.evaluate("({paints, ends, long, frames, bytes})")
    return {
        "end_to_paint_ms": spread(noted["ends"]),
        "message_to_paint_ms": spread(noted["paints"]),
        "long_tasks_ms": spread(noted["long"]),
        "frames_ms": spread(noted["frames"]),
        "stream_bytes": noted["bytes"],
    }


async def spent(devtools: CDPSession) -> dict[str, float]:
    """Seconds of processor that the page's main thread has used, however busy the machine is."""
    found = await devtools.send("Performance.getMetrics")
    kinds = {"TaskDuration": "all", "ScriptDuration": "script", "LayoutDuration": "layout",
             "RecalcStyleDuration": "style"}  # fmt: skip
    return {kinds[row["name"]]: row["value"] for row in found["metrics"] if row["name"] in kinds}


def longest(trace: dict[str, Any]) -> dict[str, list[float]]:
    """The five longest tasks of the page's main thread in its own processor time, which another process
    that wants the same processor does not make longer: while the page opens, and after.
    """
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in trace["traceEvents"]
        if event.get("ph") == "M" and event["name"] == "thread_name"
    }
    tasks = [
        (event["ts"], event.get("tdur", 0) / 1000)
        for event in trace["traceEvents"]
        if event["name"] == "RunTask"
        and names.get((event["pid"], event["tid"])) == "CrRendererMain"
    ]
    began = min(at for at, _ in tasks)
    opening = [ms for at, ms in tasks if at - began < HOLD_S * 1e6 / 2]
    finishing = [ms for at, ms in tasks if at - began >= HOLD_S * 1e6 / 2]
    return {
        name: [round(ms, 1) for ms in sorted(spans, reverse=True)[:5]]
        for name, spans in (("opening", opening), ("finishing", finishing))
    }


async def pan(page: Page) -> None:
    """Somebody drags the canvas about."""
    box = await page.locator(".canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 20
    await page.mouse.move(x, y)
    await page.mouse.down()
    until, step = time.monotonic() + PAN_S, 0
    while time.monotonic() < until:
        step += 1
        await page.mouse.move(x + 120 * (step % 20 - 10) / 10, y + 60 * (step % 14 - 7) / 7)
    await page.mouse.up()


async def watch(page: Page, cluster: Cluster, options: argparse.Namespace) -> dict[str, Any]:
    """One run, from its first job to its last."""
    await page.add_init_script(MEASURE)
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    run = await deploy(cluster, write_pipeline(cluster.data / "many.yaml", layers(options.jobs)))
    if options.profile is not None:
        await devtools.send("Profiler.enable")
        await devtools.send("Profiler.start")
    browser = page.context.browser
    if options.trace is not None and browser is not None:
        await browser.start_tracing(page=page, path=options.trace, categories=list(TRACED))
    began = time.monotonic()
    await page.goto(f"http://{cluster.masters[0].http}/runs/{run}")
    await page.locator(".react-flow__node, .far-boxes path").first.wait_for()
    ready_s = time.monotonic() - began
    if options.view != "graph":
        await page.get_by_role("tab", name=options.view).click()
    await page.wait_for_timeout(500)
    opening, opening_cpu = await measured(page), await spent(devtools)
    await page.evaluate(FORGET)
    before = await spent(devtools)
    await cluster.wait_over(run, timeout_s=OVER_S)
    await page.locator(".run-head .badge", has_text="completed").wait_for()
    took_s = time.monotonic() - began - HOLD_S
    found = await measured(page)
    if options.profile is not None:
        profile = await devtools.send("Profiler.stop")
        await asyncio.to_thread(options.profile.write_text, json.dumps(profile["profile"]))
    tasks: dict[str, Any] = {}
    if options.trace is not None and browser is not None:
        tasks = {"task_cpu_ms": longest(json.loads(await browser.stop_tracing()))}
    after = await spent(devtools)
    await page.evaluate(FORGET)
    await pan(page)
    panning = await measured(page)
    return {
        "jobs": options.jobs,
        "view": options.view,
        "load": [round(each, 1) for each in os.getloadavg()],
        "first_paint_s": round(ready_s, 2),
        "run_s": round(took_s, 1),
        "opening_cpu_s": {name: round(value, 2) for name, value in opening_cpu.items()},
        "opening_long_tasks_ms": opening["long_tasks_ms"],
        **found,
        **tasks,
        "main_thread_cpu_s": {name: round(after[name] - before[name], 2) for name in after},
        "pan_frames_ms": panning["frames_ms"],
        "pan_long_tasks_ms": panning["long_tasks_ms"],
    }


async def main(options: argparse.Namespace) -> None:
    """Start a cluster and a browser, measure, print."""
    with tempfile.TemporaryDirectory(prefix="titan-smooth-") as data:
        cluster = Cluster(Path(data), masters=3, workers=2, slots=options.slots)
        try:
            cluster.processes.start()
            await cluster.wait_ready(timeout_s=OVER_S)
            async with chromium() as browser:
                page = await browser.new_page(viewport=SIZE)
                page.set_default_timeout(OVER_S * 1000)
                found = await watch(page, cluster, options)
                if options.shot is not None:
                    await page.screenshot(path=options.shot)
            print(json.dumps(found, indent=1))  # noqa: T201
        finally:
            await cluster.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.smooth", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=8, help="of each of the two workers")
    parser.add_argument("--view", choices=("graph", "gantt", "list"), default="graph")
    parser.add_argument(
        "--profile", type=Path, help="write what the page's script did (.cpuprofile)"
    )
    parser.add_argument(
        "--trace", type=Path, help="write what the browser did, thread by thread (for its devtools)"
    )
    parser.add_argument("--shot", type=Path, help="write a picture of the page at the end")
    return parser.parse_args()


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"error: {reason}")
    asyncio.run(main(_options()))
