"""The end of a run: wait until everything ended, then ask everyone what they hold.

Reads are spelled out on the wire (`client`), so what is compared is what any client would be told.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from chaos.client import NotSent, PinnedClient, Refused
from chaos.faults.base import World
from titan.errors import TitanError

PAGE: Final = 1_000
ENDS_TIMEOUT_S: Final = 60.0
SAME_INDEX_TIMEOUT_S: Final = 30.0
LOOK_S: Final = 0.3
_RECORD: Final = ("attempt", "worker", "assigned_ms", "ended_ms", "exit_code", "cause", "detail")


async def wait_ended(world: World) -> None:
    """Until every run is over, or time is up: then the checks will say which is stuck."""
    try:
        async with asyncio.timeout(ENDS_TIMEOUT_S):
            while True:
                try:
                    if all(run["over"] for run in await _runs(await _leading(world), stale=False)):
                        return
                except (TitanError, NotSent):
                    pass  # asked again below
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return


async def final_views(world: World) -> dict[str, Any]:
    """Every run with its jobs, as linearizable reads tell it."""
    client = await _leading(world)
    views: dict[str, Any] = {}
    try:
        for run in await _runs(client, stale=False):
            jobs = [job async for job in _jobs(client, run["id"], stale=False)]
            views[run["id"]] = {
                "state": run["state"],
                "over": run["over"],
                "jobs": [_job(j) for j in jobs],
            }
    finally:
        await client.close()
    return views


async def compare_replicas(world: World) -> None:
    """Record what each master holds at one index that all have reached."""
    clients = [PinnedClient(address) for address in world.cluster.addresses]
    try:
        async with asyncio.timeout(SAME_INDEX_TIMEOUT_S):
            while True:
                states = await asyncio.gather(*(_state(client) for client in clients))
                if len({index for index, _ in states}) == 1 and states[0][0]:
                    break
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        world.broken("equal replicas", "the masters did not come to rest at one index", str(states))
        return
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    for master, (index, parts) in zip(world.cluster.masters, states, strict=True):
        digests = {
            part: hashlib.sha256(text.encode()).hexdigest()[:16] for part, text in parts.items()
        }
        world.recorder.event("replica", master=master.name, index=index, digests=digests)
        for part, text in parts.items():
            (world.cluster.home / f"{master.name}.{part}.json").write_text(text)


async def _state(client: PinnedClient) -> tuple[int, dict[str, str]]:
    """The index and every part of one master's own state; index 0 when it moved meanwhile."""
    try:
        before, _ = await client.read({"?": "workers"}, stale=True)
        runs = await _runs(client, stale=True)
        jobs = [job for run in runs async for job in _jobs(client, run["id"], stale=True)]
        keys = [item async for item in _keys(client)]
        after, workers = await client.read({"?": "workers"}, stale=True)
    except (TitanError, Refused, NotSent):
        return 0, {}
    parts = {"runs": runs, "jobs": jobs, "keys": keys, "workers": workers}
    texts = {name: json.dumps(part, indent=1, default=repr) for name, part in parts.items()}
    return (after, texts) if before == after else (0, {})


async def _leading(world: World) -> PinnedClient:
    leader = await world.leader()
    return PinnedClient(world.cluster.addresses[world.number(leader)])


async def _runs(client: PinnedClient, *, stale: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        question = {"?": "runs", "limit": PAGE, "before": found[-1]["id"] if found else ""}
        _, page = await client.read(question, stale=stale)
        found += page
        if len(page) < PAGE:
            return found


async def _jobs(client: PinnedClient, run: str, *, stale: bool) -> AsyncIterator[dict[str, Any]]:
    after = ""
    while True:
        question = {"?": "jobs", "run": run, "limit": PAGE, "after": after}
        _, page = await client.read(question, stale=stale)
        for job in page:
            yield job
            after = job["id"]
        if len(page) < PAGE:
            return


async def _keys(client: PinnedClient) -> AsyncIterator[dict[str, Any]]:
    after = ""
    while True:
        question = {"?": "kv.list", "prefix": "", "limit": PAGE, "after": after}
        _, page = await client.read(question, stale=True)
        for item in page:
            yield item
            after = item["key"]
        if len(page) < PAGE:
            return


def _job(view: dict[str, Any]) -> dict[str, Any]:
    history = [dict(zip(_RECORD, record, strict=False)) for record in view["history"]]
    wanted = ("id", "state", "reason", "attempts", "exit_code", "retries_used")
    return {**{name: view[name] for name in wanted}, "history": history}
