"""Debian's Chromium, driven by Playwright: found, started without a word to the outside, ended."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.async_api import Browser

PATH: Final = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)


def why_not() -> str:
    """Why no browser can be started here; "" when it can."""
    try:
        import playwright.async_api  # noqa: F401
    except ImportError:
        return "playwright is not installed: pip install -e '.[browser]'"
    return "" if PATH.exists() else f"there is no {PATH}: apt-get install chromium"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser for as long as the block runs."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(PATH), args=list(FLAGS), headless=True
        )
        try:
            yield browser
        finally:
            await browser.close()
