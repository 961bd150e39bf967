"""Providers for real: an HTTP server that checks signatures and counts effects, and processes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from titan.limits import LAUNCHED_KEPT_MAX
from titan.master.providers.base import Order, ProviderFailed
from titan.master.providers.local import Folder, LocalProvider, end_launched, launched_home
from titan.master.providers.webhook import WebhookProvider

SECRET = "a secret that nobody may see"


class Receiver:
    """What people would write: verifies, then does what it is asked once for each key."""

    def __init__(self) -> None:
        self.effects: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self.forged = 0
        self.answers: list[int] = []  # statuses to answer first, before anything is done

    async def open(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/hook", self.hook), web.post("/moved", self.moved)])
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/hook"

    async def hook(self, request: web.Request) -> web.Response:
        self.calls += 1
        body = await request.read()
        stamp = request.headers["Titan-Timestamp"]
        expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        is_fresh = abs(time.time() - int(stamp)) < 60
        if request.headers["Titan-Signature"] != f"v1={expected.hexdigest()}" or not is_fresh:
            self.forged += 1
            return web.Response(status=401)
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        self.effects.setdefault(request.headers["Idempotency-Key"], json.loads(body))
        return web.Response(text="x" * 100_000)

    async def moved(self, request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(self.url)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.open()
    yield made
    await made.runner.cleanup()


def order(url: str = "", *, launch: str = "l-1", secret: str = SECRET) -> Order:
    return Order(
        launch=launch,
        pool="cards",
        capabilities=("GPU",),
        slots=2,
        resources={"gpus": 1},
        ephemeral=True,
        idle_ms=5_000,
        url=url,
        secret=secret,
    )


def webhook(*, deadline_s: float = 5) -> WebhookProvider:
    return WebhookProvider(masters=lambda: ("m:1", "m:2"), deadline_s=deadline_s)


async def test_a_webhook_gets_a_signed_order_with_everything_in_it(receiver: Receiver) -> None:
    await webhook().launch(order(receiver.url))
    assert receiver.forged == 0
    assert receiver.effects == {
        "l-1:launch": {
            "action": "launch",
            "launch_id": "l-1",
            "pool": "cards",
            "capabilities": ["GPU"],
            "slots": 2,
            "resources": {"gpus": 1},
            "ephemeral": True,
            "idle_ms": 5_000,
            "masters": ["m:1", "m:2"],
        }
    }
    await webhook().end(order(receiver.url))
    assert receiver.effects["l-1:terminate"]["action"] == "terminate"


async def test_the_same_launch_called_again_has_one_effect(receiver: Receiver) -> None:
    for leader in (webhook(), webhook()):
        await leader.launch(order(receiver.url))
    assert receiver.calls == 2
    assert list(receiver.effects) == ["l-1:launch"]


async def test_a_failure_that_may_pass_is_tried_again(receiver: Receiver) -> None:
    receiver.answers = [503, 429]
    await webhook().launch(order(receiver.url))
    assert receiver.calls == 3
    assert list(receiver.effects) == ["l-1:launch"]


async def test_a_refusal_is_final(receiver: Receiver) -> None:
    receiver.answers = [422]
    with pytest.raises(ProviderFailed, match="status 422"):
        await webhook().launch(order(receiver.url))
    with pytest.raises(ProviderFailed, match="status 401"):
        await webhook().launch(order(receiver.url, secret="wrong"))
    assert (receiver.calls, receiver.forged, receiver.effects) == (2, 1, {})


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with pytest.raises(ProviderFailed, match="redirect"):
        await webhook().launch(order(receiver.url.replace("/hook", "/moved")))
    assert receiver.calls == 0


async def test_nobody_there_fails_at_the_deadline_and_tells_no_secret(
    caplog: pytest.LogCaptureFixture, receiver: Receiver
) -> None:
    caplog.set_level(logging.DEBUG)
    await receiver.runner.cleanup()
    with pytest.raises(ProviderFailed, match=r"within 0\.3 s") as failed:
        await webhook(deadline_s=0.3).launch(order(receiver.url))
    assert SECRET not in caplog.text + str(failed.value) + repr(order(receiver.url))


# --- processes on this machine ----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return launched_home(tmp_path)


@pytest.fixture
async def local(home: Path, tmp_path: Path) -> AsyncIterator[LocalProvider]:
    made = LocalProvider(home, masters=lambda: ("127.0.0.1:1",))
    yield made
    await asyncio.to_thread(end_launched, tmp_path)
    assert made.running() == []


def alive(local: LocalProvider) -> list[str]:
    return [folder.launch for folder in local.running()]


async def test_a_local_worker_is_started_once_and_found_by_the_next_life(
    local: LocalProvider, home: Path
) -> None:
    await local.launch(order())
    first = local.folder("l-1").process()
    await local.launch(order())
    again = LocalProvider(home, masters=lambda: ())
    found = again.folder("l-1").process()
    assert first is not None
    assert found is not None
    assert found.pid == first.pid
    assert {"--launch", "l-1", "--ephemeral", "--capability", "GPU"} < set(first.cmdline())
    assert psutil.Process(first.pid).parent() is not None
    await again.end(order())
    assert alive(local) == []
    assert not psutil.pid_exists(first.pid)


async def test_a_worker_is_found_though_its_master_died_before_it_noted_it_down(
    local: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "note", lambda self, pid: None)
        await local.launch(order())
    assert alive(local) == []
    async with asyncio.timeout(20):
        while alive(local) != ["l-1"]:
            await asyncio.sleep(0.02)


async def test_one_that_has_ended_is_not_started_a_second_time(
    local: LocalProvider, home: Path
) -> None:
    await local.launch(order())
    await local.end(order())
    with pytest.raises(ProviderFailed, match="ended before"):
        await local.launch(order())
    await local.end(order(launch="l-never"))


async def test_a_stubborn_process_is_killed(
    local: LocalProvider, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.master.providers.local.END_GRACE_S", 0.2)
    await local.launch(order())
    process = local.folder("l-1").process()
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    await local.end(order())
    assert alive(local) == []


async def test_a_process_that_has_its_number_by_chance_is_left_alone(home: Path) -> None:
    folder = Folder(home / "l-1")
    folder.path.mkdir(parents=True)
    note = {"pid": 1, "created_s": psutil.Process(1).create_time() + 100}
    (folder.path / "pid.json").write_text(json.dumps(note))
    assert folder.process() is None


async def test_old_folders_are_dropped(local: LocalProvider, home: Path) -> None:
    for number in range(LAUNCHED_KEPT_MAX + 3):
        (home / f"l-{number:03}").mkdir(parents=True)
    local.prune()
    left = sorted(path.name for path in home.iterdir())
    assert (len(left), left[0]) == (LAUNCHED_KEPT_MAX, "l-003")
