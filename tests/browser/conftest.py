"""What every test with a browser needs.

`open_page` opens a page in a quiet browser; a test with special flags uses `chromium` itself.
`shot` takes a picture for the documentation when the suite runs with `--screenshots`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.browser.chromium import DESKTOP, chromium, window

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"

Opener = Callable[..., Awaitable[Page]]
Shot = Callable[[Page, str], Awaitable[None]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser: Browser) -> Opener:
    """Opens a page: `await open_page(url, size=PHONE, dark=True)`."""

    async def open_page(url: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Page:
        page = await (await window(browser, size, dark=dark)).new_page()
        await page.goto(url)
        return page

    return open_page


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Shot:
    """Takes the picture docs/pictures/NAME.png, if pictures are wanted: `await shot(page, NAME)`."""

    async def shot(page: Page, name: str) -> None:
        if request.config.getoption("--screenshots"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")

    return shot
