"""What tests of the call page do and wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from PIL import Image
from playwright.async_api import Page, expect

from agent.cli.agent_server import AgentServer

WITHIN_MS = 25_000
RATE = 48_000


async def begin(page: Page, url: str) -> None:
    await page.goto(f"{url}/call/brightside")
    await page.get_by_role("button", name="Call").click()
    await state(page, "live")


async def state(page: Page, wanted: str) -> None:
    await expect(page.locator(f"main[data-state={wanted}]")).to_be_visible(timeout=WITHIN_MS)


async def said(page: Page, speaker: str, words: str) -> None:
    """Wait until a turn with these words stands in the captions for good."""
    line = page.locator(f"#captions .{speaker}[data-final=true]", has_text=words)
    await expect(line.first).to_be_visible(timeout=WITHIN_MS)


async def free(server: AgentServer) -> None:
    """Wait until no call holds a place, as long as a dead page may hold one."""
    async with asyncio.timeout(15):
        while server.application.desk.slots.in_use:  # noqa: ASYNC110 - a slot has no event
            await asyncio.sleep(0.1)


def microphone_file(path: Path, *pieces: float | Path) -> Path:
    """What a fake microphone plays: silences in seconds, and recordings."""
    sound: list[np.ndarray] = []
    for piece in pieces:
        if isinstance(piece, Path):
            words, rate = soundfile.read(piece, dtype="float32")
            sound.append(soxr.resample(words, rate, RATE))
        else:
            sound.append(np.zeros(int(piece * RATE), np.float32))
    soundfile.write(path, np.concatenate(sound), RATE, subtype="PCM_16")
    return path


def camera_file(path: Path, pictures: Sequence[Image.Image]) -> Path:
    """What a fake camera plays: one picture a second, over and over, as a Y4M file."""
    width, height = pictures[0].size
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F1:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            light, blue, red = picture.convert("YCbCr").split()
            half = (width // 2, height // 2)
            file.write(b"FRAME\n" + light.tobytes())
            file.write(blue.resize(half).tobytes() + red.resize(half).tobytes())
    return path
