"""What is held to the camera reaches the model with the question, and the call log."""

from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.async_api import expect

from agent.cli.agent_server import AgentServer
from tests.browser.agent import agent, model_server
from tests.browser.calling import begin, camera_file, free, microphone_file, said, state
from tests.browser.chromium import call_devices, chromium, window
from tests.browser.conftest import Shot
from tests.serving.scripted_model import ScriptedModel
from vita_model.engine.voice import Heard, Request, UserImage, UserSpeech

pytestmark = pytest.mark.end_to_end

QUESTION = Path(__file__).parents[1] / "vita_tiny" / "what_colour.flac"
LINE = {"video": True, "keep_stills": True, "disclosure": "", "greeting": "Hello."}


def red_disc() -> Image.Image:
    picture = Image.new("RGB", (640, 480), "white")
    ImageDraw.Draw(picture).ellipse((170, 90, 470, 390), fill=(220, 20, 20))
    return picture


class Looking(ScriptedModel):
    async def hear(self, samples: object) -> Heard:
        return Heard("What colour is this?", None, 1.0)


async def test_the_picture_goes_before_the_words_and_is_kept(tmp_path: Path, shot: Shot) -> None:
    microphone = microphone_file(tmp_path / "microphone.wav", 6, QUESTION, 60)
    camera = camera_file(tmp_path / "camera.y4m", [red_disc()])
    model = Looking()
    async with (
        model_server(model) as url,
        agent(tmp_path / "agent", url, LINE) as server,
        chromium(*call_devices(microphone, camera)) as browser,
    ):
        page = await (await window(browser)).new_page()
        await begin(page, server.url)
        button = page.get_by_role("button", name="Camera")
        await button.click()
        await expect(page.get_by_label("Your camera")).to_be_visible()
        await said(page, "caller", "What colour is this?")
        await said(page, "agent", "I heard you.")
        await shot(page, "call-page-camera")
        await button.click()
        await expect(page.get_by_label("Your camera")).to_be_hidden()
        await page.get_by_label("Write instead of speaking").fill("And now?")
        await page.keyboard.press("Enter")
        await said(page, "caller", "And now?")
        await page.get_by_role("button", name="Hang up").click()
        await state(page, "ended")
        await free(server)
        kept = await stills(server)

    shown = model.requests[0]
    image, words = shown.entries[-2:]
    assert isinstance(image, UserImage)
    assert isinstance(words, UserSpeech)
    data: bytes = image.seen.features
    with Image.open(io.BytesIO(data)) as seen:
        assert seen.size == (640, 480)
        assert near(seen, (320, 240), (220, 20, 20))
        assert near(seen, (40, 40), (255, 255, 255))
    assert pictures(model.requests[-1]) == 1  # none was added with the camera off
    assert kept == [(data, hashlib.sha256(data).hexdigest())]


def pictures(request: Request) -> int:
    return sum(isinstance(entry, UserImage) for entry in request.entries)


def near(picture: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = picture.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(have - want) < 45 for have, want in zip(found, colour, strict=True))


async def stills(server: AgentServer) -> list[tuple[bytes, str]]:
    """Files and hashes of the pictures of the only call, once the log has them."""
    calls = server.application.calls
    async with asyncio.timeout(10):
        while True:
            (call,) = await calls.list_calls()
            record = await calls.get_call(call.id)
            assert record is not None
            if record.call.state == "ended":
                return [(_read(each.path), each.sha256) for each in record.stills]
            await asyncio.sleep(0.1)


def _read(path: str) -> bytes:
    return Path(path).read_bytes()
