"""Three masters, two workers and a browser, shared by the tests of this folder unless they kill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import chromium, why_not
from tests.cluster.cluster import Cluster, running

if TYPE_CHECKING:
    from playwright.async_api import Page

WAIT_MS = 20_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser, say so by the reason of every skip."""
    reason = why_not()
    for item in items:
        if reason and Path(__file__).parent in item.path.parents and "page" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path / "cluster", masters=3, workers=2, slots=8)
    async with running(made) as ready:
        yield ready


@pytest.fixture
async def page(cluster: Cluster) -> AsyncIterator[Page]:
    """A page that fails the test when anything in it fails, or asks anybody but the masters."""
    problems: list[str] = []
    ours = tuple(f"http://{member.http}/" for member in cluster.masters)
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        made = await context.new_page()
        made.set_default_timeout(WAIT_MS)
        made.on("pageerror", lambda error: problems.append(f"error: {error}"))
        made.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        made.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((*ours, "data:", "blob:"))
                else problems.append(f"asked {request.url}")
            ),
        )
        yield made
        assert not problems, problems
