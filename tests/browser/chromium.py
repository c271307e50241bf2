"""The machine's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
"""A browser that shows nothing and asks nobody outside for anything."""

DESKTOP = (1280, 800)
PHONE = (390, 844)


def chromium_path() -> str:
    """Where Chromium is. Without one the test is skipped, on the build machine it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI") == "true":  # noqa: TID251 - no setting of the agent
            pytest.fail("no chromium on the build machine: .ci/run installs it")
        pytest.skip("no chromium: apt install chromium")
    return found


def call_devices(microphone: Path | None = None, camera: Path | None = None) -> list[str]:
    """Flags for a browser with a microphone and a camera that play files.

    Args:
        microphone: A WAV file, played over and over; beeps when absent.
        camera: A Y4M or MJPEG file, played over and over; a test picture when absent.
    """
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    if camera is not None:
        flags.append(f"--use-file-for-fake-video-capture={camera}")
    return flags


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """A running browser."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*QUIET, *flags])
        try:
            yield browser
        finally:
            await browser.close()


async def window(
    browser: Browser, size: tuple[int, int] = DESKTOP, *, dark: bool = False
) -> BrowserContext:
    """A window of its own: no cookies, the given size in CSS pixels and colour scheme."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(30_000)
    return context


async def process_id(browser: Browser) -> int:
    """The browser's own process."""
    session = await browser.new_browser_cdp_session()
    told = await session.send("SystemInfo.getProcessInfo")
    return next(int(entry["id"]) for entry in told["processInfo"] if entry["type"] == "browser")
