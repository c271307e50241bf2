"""The documents' pictures of the console, taken with `--screenshots`."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page

from agent.store.engine import Database
from tests.browser.conftest import Shot
from tests.console.conftest import Console, Visit, in_browser
from tests.console.live_call import Switchboard, switchboard

pytestmark = pytest.mark.integration

TABLET = (834, 1112)
TALKS = (
    (0, "I'd like to move my appointment to Friday, please.", 480),
    (1, "Is my bike ready? You can reach me on 555 222 3341.", 910),
    (0, "How much is whitening?", 1640),
    (1, "", 0),
)


@pytest.fixture(autouse=True)
def _wanted(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--screenshots"):
        pytest.skip("no pictures wanted: --screenshots takes them")


async def settled(page: Page) -> Page:
    """Fonts are there and nothing moves."""
    await page.evaluate("document.fonts.ready")
    await page.wait_for_timeout(900)
    return page


async def start_talks(board: Switchboard, console: Console) -> str:
    first = ""
    for number, (line, words, waited) in enumerate(TALKS):
        caller = f"+1555222334{number}"
        call = await board.call(console.log.lines[line], caller, f"CA-picture-{number}")
        first = first or call.call_id
        if words:
            call.say("agent", "Hello, how can I help you?", 300)
            call.journal.record("turn", {"latency_ms": waited, "metadata": {}})
            call.say("caller", words, 2500)
        if number == 0:
            about = {"tool_call_id": "t1", "tool": "book_appointment"}
            asked = {"pii_arguments": '{"day": "Friday", "time": "10:00"}', "idempotency_key": "k"}
            call.journal.record("tool_intent", {**about, **asked})
            result = {"status": "ok", "pii_result": '{"booked": true}', "duration_ms": 180}
            call.journal.record("tool_result", {**about, **result})
            call.journal.record("turn", {"latency_ms": 710, "metadata": {}})
            call.hear("agent", "You are booked for Friday at ten. Is there")
    return first


@in_browser
async def test_running_calls(console: Console, visit: Visit, shot: Shot):
    database = Database(f"sqlite:///{console.data_dir / 'calls.db'}")
    async with switchboard(console.redis_url, database, console.data_dir / "pictures") as board:
        call_id = await start_talks(board, console)
        await asyncio.sleep(2)
        await shot(await settled(await visit("/")), "console-live")
        page = await settled(await visit(f"/calls/{call_id}", dark=True))
        await shot(page, "console-live-call")
    await database.close()


@in_browser
async def test_a_call(console: Console, visit: Visit, shot: Shot):
    page = await visit(f"/calls/{console.log.recorded}")
    await page.wait_for_function("document.querySelector('audio')?.readyState >= 1")
    await page.locator(".used summary").first.click()
    await page.locator(".line", has_text="Where is my order").click()
    await page.wait_for_timeout(800)
    await page.keyboard.press("k")
    await shot(await settled(page), "console-call")


@in_browser
@pytest.mark.parametrize(
    ("path", "name", "dark"),
    [
        ("/calls", "console-calls", False),
        ("/calls?q=order", "console-search", True),
        ("/charts?when=7d", "console-charts", False),
        ("/admin/people", "console-people", False),
    ],
)
async def test_a_page(visit: Visit, shot: Shot, path: str, name: str, dark: bool):
    await shot(await settled(await visit(path, who="ana", dark=dark)), name)


@in_browser
async def test_on_a_tablet(visit: Visit, shot: Shot):
    await shot(await settled(await visit("/calls", size=TABLET, dark=True)), "console-tablet")
