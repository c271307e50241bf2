"""The browser itself: it runs, keeps windows apart and can be found as a process."""

from __future__ import annotations

import os

import pytest
from playwright.async_api import Browser

from tests.browser.chromium import PHONE, process_id
from tests.browser.conftest import Opener

pytestmark = pytest.mark.integration


async def test_a_page_opens_at_phone_width_in_the_dark(browser: Browser, open_page: Opener) -> None:
    page = await open_page("data:text/html,<title>here</title>", PHONE, dark=True)
    assert await page.title() == "here"
    assert await page.evaluate("innerWidth") == PHONE[0]
    assert await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    os.kill(await process_id(browser), 0)
