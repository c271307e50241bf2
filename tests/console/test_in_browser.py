"""The console's main jobs, done in the machine's Chromium."""

from __future__ import annotations

import sys
import time

import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from agent.clock import SystemClock
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from tests.browser.conftest import Opener
from tests.console.conftest import PASSWORD, Console, Visit, in_browser
from tests.console.live_call import switchboard

pytestmark = pytest.mark.integration

AUDITOR = Actor("command", "test", "test", "admin")


async def actions(console: Console, about: str) -> list[str]:
    async with console.database() as database:
        page = await AuditLog(database, SystemClock()).list(AUDITOR, about=about)
    return [entry.action for entry in page.items]


async def audio_time(page: Page) -> float:
    return float(await page.evaluate("document.querySelector('audio').currentTime"))


@in_browser
async def test_the_words_of_a_running_call_arrive_as_they_are_spoken(
    console: Console, visit: Visit
):
    dental, bikes = console.log.lines
    async with (
        console.database() as database,
        switchboard(console.redis_url, database, console.data_dir / "worker") as board,
    ):
        call = await board.call(dental, "+15552223344", "CA-live-1")
        other = await board.call(bikes, "+15557778899", "CA-live-2")
        other.say("caller", "Is my bike ready? You can call me on 555 777 8899.", 0)
        page = await visit("/")
        card = page.locator(f"#call-{call.call_id}")
        await expect(card).to_contain_text("Brightside Dental")
        await expect(page.locator(f"#call-{other.call_id}")).to_contain_text("Is my bike ready?")
        await expect(page.locator(f"#call-{other.call_id}")).not_to_contain_text("8899.")
        await card.click()
        await page.wait_for_selector(".transcript.live")

        waited = []
        for number, text in enumerate(("What time do you open", "We open at nine", "Thank you")):
            said = time.monotonic()
            if number == 0:
                call.hear("caller", text)
            else:
                call.say("agent" if number == 1 else "caller", text, 1000 * number)
            await page.get_by_text(text).wait_for()
            waited.append(time.monotonic() - said)
        sys.stdout.write(f"seconds from spoken to seen: {[round(each, 3) for each in waited]}\n")

        intent = {"tool_call_id": "t1", "tool": "lookup_order", "idempotency_key": "k"}
        call.journal.record("tool_intent", {**intent, "pii_arguments": '{"order_id": "48213"}'})
        await expect(page.locator(".used")).to_contain_text("Running")
        result = {"status": "ok", "pii_result": '{"status": "ready"}', "duration_ms": 90}
        about = {"tool_call_id": "t1", "tool": "lookup_order"}
        call.journal.record("tool_result", {**about, **result})
        await expect(page.locator(".used")).to_contain_text("Done")
        call.journal.record("turn", {"latency_ms": 480, "metadata": {}})
        call.hear("agent", "Your order is ready, you can")
        await page.get_by_text("Your order is ready").wait_for()

        await board.hang_up(call)
        await page.get_by_role("tab", name="Events").wait_for()
        await expect(page.locator(".call-head")).to_contain_text("Caller hung up")


@in_browser
async def test_a_board_without_redis_says_so_and_recovers(console: Console, visit: Visit):
    page = await visit("/")
    await page.get_by_text("Nobody is on the phone").wait_for()
    redis = Redis.from_url(console.redis_url)
    await redis.client_pause(2500)
    stale = page.locator(".notice", has_text="Redis is out of reach")
    await expect(stale).to_be_visible()
    await expect(stale).to_be_hidden(timeout=20_000)
    await redis.aclose()


@in_browser
async def test_an_old_call_is_found_by_a_word_and_played_from_that_line(
    console: Console, visit: Visit
):
    page = await visit("/")
    await page.keyboard.press("/")
    await page.keyboard.type("parking order number")
    await page.keyboard.press("Enter")
    await page.get_by_text("Nobody said").wait_for()
    await page.fill(".find input", '"order number"')
    await page.keyboard.press("Enter")
    hit = page.locator(f".hit[href*='{console.log.recorded}']").first
    await expect(hit.locator("mark").first).to_contain_text("order")
    await hit.click()
    await expect(page.locator(".line.found")).to_contain_text("order number")
    await page.wait_for_function("document.querySelector('audio')?.readyState >= 1")

    line = page.locator(".line", has_text="Can I speak to a real person")
    starts = int(await line.get_attribute("data-seek-ms") or 0) / 1000
    await line.click()
    await page.wait_for_function(f"document.querySelector('audio').currentTime >= {starts}")
    assert await audio_time(page) < starts + 3
    await expect(line).to_have_class("line caller heard-now")
    await page.keyboard.press("k")
    await page.wait_for_function("document.querySelector('audio').paused")
    before = await audio_time(page)
    await page.get_by_placeholder("0:00").focus()
    await expect(page.get_by_placeholder("0:00")).not_to_have_value("")
    await page.get_by_placeholder("0:00").blur()
    await page.keyboard.press("j")
    await page.wait_for_function(f"document.querySelector('audio').currentTime < {before} - 3")
    assert "recording.open" in await actions(console, f"call/{console.log.recorded}")


@in_browser
async def test_a_number_is_revealed_with_a_reason_and_that_is_kept(console: Console, visit: Visit):
    call_id = console.log.recorded
    page = await visit(f"/calls/{call_id}")
    await expect(page.locator(".call-head")).to_contain_text("••07")
    await expect(page.locator(".transcript")).not_to_contain_text("555 239 8107")
    await page.get_by_role("button", name="Reveal").click()
    await page.get_by_label("Why").click()
    await page.get_by_text("To call the person back").click()
    await page.locator(".ask-card").get_by_role("button", name="Reveal").click()
    await expect(page.locator(".call-head")).to_contain_text("+15552398107")
    await expect(page.locator(".transcript")).to_contain_text("555 239 8107")
    done = await actions(console, f"call/{call_id}")
    assert {"call.reveal", "call.reveal.reason"} <= set(done)
    await page.get_by_role("button", name="Hide").click()
    await expect(page.locator(".transcript")).not_to_contain_text("555 239 8107")


@in_browser
async def test_a_note_and_a_score_stay(console: Console, visit: Visit):
    call_id = console.log.calls[3]
    page = await visit(f"/calls/{call_id}")
    await page.get_by_placeholder("What should others know").fill("Toothache: <b>call back</b>.")
    await page.get_by_placeholder("0:00").fill("0:02")
    await page.get_by_role("checkbox", name="Flag").click()
    await page.get_by_role("button", name="Add note").click()
    note = page.locator(".note", has_text="Toothache: <b>call back</b>.")
    await expect(note).to_contain_text("0:02")
    await expect(note).to_contain_text("Sam Okafor")

    for question in await page.locator(".ask").all():
        yes = question.get_by_role("button", name="Yes")
        if await yes.count():
            await yes.click()
        else:
            await question.locator(".q-rating__icon-container").nth(3).click()
    await expect(page.locator(".total")).to_contain_text("of 100")
    await page.get_by_role("button", name="Save score").click()
    await page.get_by_text("Saved:").wait_for()

    await page.goto(f"{console.url}/calls?flagged=1")
    row = page.locator("table.list tbody tr")
    await expect(row).to_have_count(1)
    await expect(row.locator("td").last).to_contain_text("8")
    await row.click()
    await expect(page.locator(".note.given")).to_contain_text("Sam Okafor")
    assert {"note.add", "review.submit"} <= set(await actions(console, f"call/{call_id}"))


@in_browser
async def test_calls_are_filtered_and_sorted(console: Console, visit: Visit):
    page = await visit("/calls")
    rows = page.locator("table.list tbody tr")
    await expect(rows).not_to_have_count(0)
    everything = await rows.count()
    await page.get_by_role("combobox", name="Outcome").click()
    await page.get_by_role("option", name="Transferred").click()
    await expect(rows.first).to_contain_text("Transferred")
    await expect(page).to_have_url(f"{console.url}/calls?outcome=transferred")
    assert await rows.count() < everything
    await page.locator("th [data-sort=length]").click()
    await expect(page.locator("th[aria-sort=descending]")).to_contain_text("Length")
    lengths = [
        await each.inner_text() for each in await page.locator("tbody td:nth-child(5)").all()
    ]
    assert lengths == sorted(lengths, reverse=True)


@in_browser
async def test_a_viewer_sees_masked_words_and_nothing_more(console: Console, visit: Visit):
    page = await visit(f"/calls/{console.log.recorded}", who="lee")
    await expect(page.get_by_text("may not listen")).to_be_visible()
    for name in ("Reveal", "Add note", "Save score", "Recording"):
        assert await page.get_by_role("button", name=name, exact=True).count() == 0
    assert await page.get_by_role("link", name="People").count() == 0
    await page.goto(f"{console.url}/admin/people")
    await page.get_by_text("This page is for admins").wait_for()
    await page.goto(f"{console.url}/calls/nothing")
    await page.get_by_text("There is no such call").wait_for()
    missing = await page.goto(f"{console.url}/nowhere")
    assert missing is not None
    assert missing.status == 404
    await expect(page.get_by_role("link", name="To the running calls")).to_be_visible()


@in_browser
async def test_an_admin_looks_after_people_and_keys(console: Console, visit: Visit):
    page = await visit("/admin/people", who="ana")
    await page.get_by_role("button", name="Add a person").click()
    await page.get_by_label("E-mail").fill("kim@example.com")
    await page.get_by_label("First password").fill("short")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_text("A password has").wait_for()
    await page.get_by_label("First password").fill(PASSWORD)
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_text("kim@example.com").wait_for()

    await page.goto(f"{console.url}/admin/keys")
    await page.get_by_role("button", name="Make a key").click()
    await page.get_by_label("What it is for").fill("Wallboard")
    await page.get_by_role("button", name="Make the key").click()
    token = await page.locator(".notice code").inner_text()
    assert token.startswith("va_")
    await page.get_by_role("button", name="Revoke").click()
    await page.get_by_text("Revoked").wait_for()

    await page.goto(f"{console.url}/admin/audit")
    await page.get_by_text("The chain is whole").wait_for()
    await expect(page.locator("tbody")).to_contain_text("Key revoked")
    assert token.split("_", 2)[2] not in await page.content()


@in_browser
async def test_charts_lines_and_tools_are_shown(console: Console, visit: Visit):
    page = await visit("/charts?when=30d")
    await expect(page.locator(".chart canvas")).to_have_count(4)
    await page.goto(f"{console.url}/lines")
    line = page.locator(".plate", has_text="Ridgeway Bikes")
    await line.get_by_text("8 facts").click()
    await expect(line.get_by_role("listitem").filter(has_text="Puncture")).to_be_visible()
    await page.goto(f"{console.url}/tools")
    await expect(page.locator("#tool-lookup_order")).to_contain_text("Brightside Dental")


@in_browser
async def test_in_by_the_door_and_out_again(console: Console, open_page: Opener):
    call_id = console.log.calls[5]
    page = await open_page(f"{console.url}/calls/{call_id}")
    await page.get_by_label("E-mail").fill("sam@example.com")
    await page.get_by_label("Password").fill("not this one")
    await page.keyboard.press("Enter")
    await page.get_by_text("password is wrong").wait_for()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.get_by_placeholder("What should others know").fill("Too late")
    # Signed out elsewhere, with this page still open: what it does then must not count.
    await page.context.request.post(f"{console.url}/sign-out")
    await page.get_by_role("button", name="Add note").click()
    await page.wait_for_url("**/sign-in")
    assert "note.add" not in await actions(console, f"call/{call_id}")
