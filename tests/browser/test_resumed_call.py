"""A browser's call goes on when the agent that served it is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from agent.session.embedded import EmbeddedValkey
from tests.browser.agent import Switch, agent_process, model_server
from tests.browser.calling import WITHIN_MS, begin, microphone_file, said
from tests.browser.chromium import call_devices, chromium, window
from tests.serving.scripted_model import ScriptedModel
from vita_model.engine.voice import UserText

pytestmark = pytest.mark.end_to_end


async def test_another_agent_takes_the_page_up_with_the_conversation_intact(
    tmp_path: Path,
) -> None:
    silence = microphone_file(tmp_path / "silence.wav", 2)
    model, switch = ScriptedModel(), Switch()
    async with (
        EmbeddedValkey(tmp_path / "store") as store,
        model_server(model) as url,
        switch.listening(),
        agent_process(tmp_path / "one", url, VITA_REDIS_URL=store.url) as (one, killed),
        agent_process(tmp_path / "two", url, VITA_REDIS_URL=store.url) as (two, _),
        chromium(*call_devices(silence)) as browser,
    ):
        switch.target = one
        page = await (await window(browser)).new_page()
        await begin(page, switch.url)
        await said(page, "agent", "Hello, this is Brightside Dental.")
        words = page.get_by_label("Write instead of speaking")
        await words.fill("My name is Ada.")
        await page.keyboard.press("Enter")
        await said(page, "agent", "I heard you.")

        switch.target = two
        killed.kill()
        await expect(page.locator("#captions .agent").nth(3)).to_be_visible(timeout=WITHIN_MS)
        await words.fill("Are you there?")
        await page.keyboard.press("Enter")
        await expect(page.locator("#captions .agent").nth(4)).to_be_visible(timeout=WITHIN_MS)
    typed = [entry.text for entry in model.requests[-1].entries if isinstance(entry, UserText)]
    assert typed == ["My name is Ada.", "Are you there?"]
