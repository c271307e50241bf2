"""The call page in a real browser, against an agent and a scripted model."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Route, expect

from agent.cli.agent_server import AgentServer
from tests.browser.agent import agent, agent_process, model_server
from tests.browser.calling import WITHIN_MS, begin, free, microphone_file, said, state
from tests.browser.chromium import PHONE, call_devices, chromium, process_id, window
from tests.browser.conftest import Opener, Shot
from tests.serving.scripted_model import DONE, QUERY, ScriptedModel, spoken
from vita_model.engine.voice import AssistantText, Call, Heard, ReplyEvent, Request, Samples

pytestmark = pytest.mark.end_to_end

QUESTION = Path(__file__).parents[1] / "serving" / "question.flac"
TOOLS = {"tools": ["transfer_to_human", "end_call"], "transfer_target": "+15550199"}


class Receptionist(ScriptedModel):
    """Answers everything with the opening hours, but hands over or hangs up when told to."""

    async def hear(self, samples: Samples) -> Heard:
        return replace(await super().hear(samples), transcript="When do you open on Monday?")

    async def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        self.requests.append(request)
        # Typed during the greeting, a question stands before what the agent says meanwhile.
        asked = str([e for e in request.entries if not isinstance(e, AssistantText)][-1:])
        events: list[ReplyEvent] = [QUERY, *spoken("We open at 9 am."), DONE]
        if "ToolOutput" in asked:
            events = [QUERY, *spoken("One moment."), DONE]
        elif "person" in asked:
            events = [QUERY, Call("transfer_to_human", '{"reason": "asked"}'), DONE]
        elif "goodbye" in asked:
            events = [QUERY, Call("end_call", "{}"), DONE]
        for event in events:
            yield event


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    return microphone_file(tmp_path / "microphone.wav", 7, QUESTION, 60)


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    return microphone_file(tmp_path / "silence.wav", 2)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AgentServer]:
    model = Receptionist()
    async with model_server(model) as url, agent(tmp_path / "agent", url, TOOLS) as running:
        yield running


async def test_a_spoken_question_is_answered_and_both_are_captioned(
    server: AgentServer, microphone: Path, shot: Shot
) -> None:
    async with chromium(*call_devices(microphone)) as browser:
        page = await (await window(browser)).new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        await page.goto(f"{server.url}/call/brightside")
        await expect(page.get_by_text("You will talk to a virtual assistant.")).to_be_visible()
        await shot(page, "call-page-before")
        await page.get_by_role("button", name="Call").click()
        await state(page, "live")
        await said(page, "caller", "When do you open")
        await said(page, "agent", "We open at 9 am.")
        await shot(page, "call-page")

        mute = page.get_by_role("button", name="Mute")
        await mute.click()
        await expect(mute).to_have_attribute("aria-pressed", "true")
        await expect(page.get_by_role("status")).to_have_text("You are muted")
        await mute.click()

        await page.get_by_role("button", name="Hang up").click()
        await state(page, "ended")
        await free(server)
        assert errors == []


async def test_the_keyboard_alone_is_enough_and_the_agent_can_end_or_hand_over(
    server: AgentServer, silence: Path, shot: Shot
) -> None:
    async with chromium(*call_devices(silence)) as browser:
        page = await (await window(browser, PHONE, dark=True)).new_page()
        await page.goto(f"{server.url}/call/brightside")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await state(page, "live")
        await expect(page.get_by_role("button", name="Mute")).to_be_focused()
        await said(page, "agent", "Hello, this is Brightside Dental.")
        await page.get_by_label("Write instead of speaking").focus()
        await page.keyboard.type("I want a person")
        await page.keyboard.press("Enter")
        await said(page, "caller", "I want a person")
        await state(page, "ended")
        await expect(page.get_by_role("alert")).to_contain_text("Please call this number")
        await expect(page.get_by_role("link", name="+15550199")).to_be_visible()
        await shot(page, "call-page-handed-over")

        await expect(page.get_by_role("button", name="Call again")).to_be_focused()
        await page.keyboard.press("Enter")
        await state(page, "live")
        await page.get_by_label("Write instead of speaking").fill("goodbye")
        await page.keyboard.press("Enter")
        await said(page, "agent", "One moment.")
        await state(page, "ended")
        await expect(page.get_by_role("status")).to_contain_text("The call has ended")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_losing_each_other_is_noticed_on_both_sides(
    server: AgentServer, tmp_path: Path, silence: Path
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(a_browser_that_dies_frees_its_place(server, silence))
        group.create_task(a_page_whose_network_goes_silent_says_so(tmp_path / "other", silence))


async def a_browser_that_dies_frees_its_place(server: AgentServer, silence: Path) -> None:
    async with chromium(*call_devices(silence)) as browser:
        page = await (await window(browser)).new_page()
        await begin(page, server.url)
        await said(page, "agent", "virtual assistant")
        assert server.application.desk.slots.in_use == 1
        os.kill(await process_id(browser), signal.SIGKILL)
        await free(server)


async def a_page_whose_network_goes_silent_says_so(folder: Path, silence: Path) -> None:
    """Seen from the page, an agent that stands still is a network that carries nothing."""
    async with (
        model_server(Receptionist()) as url,
        chromium(*call_devices(silence)) as browser,
        agent_process(folder, url) as (address, process),
    ):
        page = await (await window(browser)).new_page()
        await begin(page, address)
        await said(page, "agent", "virtual assistant")
        process.send_signal(signal.SIGSTOP)
        try:
            status, alert = page.get_by_role("status"), page.get_by_role("alert")
            await expect(status).to_contain_text("unstable", timeout=WITHIN_MS)
            await expect(alert).to_contain_text("connection was lost", timeout=WITHIN_MS)
        finally:
            process.send_signal(signal.SIGCONT)


async def test_a_full_house_and_a_wrong_address_are_told(
    tmp_path: Path, server: AgentServer
) -> None:
    async with (
        agent(tmp_path / "small", "ws://127.0.0.1:1/v1/realtime", max_calls=1) as small,
        chromium(*call_devices()) as browser,
    ):
        page = await (await window(browser)).new_page()
        answer = await page.goto(f"{small.url}/call/nobody")
        assert answer is not None
        assert answer.status == 404
        await expect(page.get_by_role("heading")).to_have_text("Nobody answers here")
        async with httpx.AsyncClient(headers={"Origin": small.url}, trust_env=False) as other:
            await other.post(f"{small.url}/call/brightside/calls", json={})
        await page.goto(f"{small.url}/call/brightside")
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_contain_text("All lines are busy")
        await expect(page.get_by_role("button", name="Call again")).to_be_enabled()


async def test_a_call_that_takes_too_long_to_connect_may_be_made_again(tmp_path: Path) -> None:
    async def dawdle(route: Route) -> None:
        await asyncio.sleep(2.5)
        await route.continue_()

    async with (
        agent(tmp_path, "ws://127.0.0.1:1/v1/realtime", token_ttl_s=1) as strict,
        chromium(*call_devices()) as browser,
    ):
        page = await (await window(browser)).new_page()
        await page.route("**/offer", dawdle)
        await page.goto(f"{strict.url}/call/brightside")
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_contain_text("took too long to connect")
        await expect(page.get_by_role("button", name="Call again")).to_be_enabled()


async def test_a_missing_or_forbidden_microphone_is_told_and_holds_no_place(
    server: AgentServer, open_page: Opener
) -> None:
    page = await open_page(f"{server.url}/call/brightside", PHONE)
    await page.get_by_role("button", name="Call").click()
    await expect(page.get_by_role("alert")).to_contain_text("No microphone was found")
    async with chromium("--use-fake-device-for-media-stream", "--deny-permission-prompts") as other:
        page = await (await window(other)).new_page()
        await page.goto(f"{server.url}/call/brightside")
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_contain_text("The microphone is blocked")
    assert server.application.desk.slots.in_use == 0
