"""The page in examples/clients/browser, in Chromium, against the server."""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, expect

from tests.browser.chromium import chromium, window
from tests.conformance.clients.task import PATIENCE_S, Task, check, run_all

TASK = Task.laid_out()
SERVE = TASK.examples / "browser" / "serve.py"
WITHIN_MS = PATIENCE_S * 500
MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext({ sampleRate: 24000 });
  const line = context.createMediaStreamDestination();
  const still = context.createConstantSource();
  still.offset.value = 0;
  still.connect(line);
  still.start();
  window.say = (pcm) => {
    const bytes = Uint8Array.from(atob(pcm), (letter) => letter.charCodeAt(0));
    const samples = Float32Array.from(new Int16Array(bytes.buffer), (x) => x / 32768);
    const piece = context.createBufferSource();
    piece.buffer = context.createBuffer(1, samples.length, 24000);
    piece.buffer.copyToChannel(samples, 0);
    piece.connect(line);
    piece.start();
  };
  return line.stream;
};
"""
"""Stands for the person at the machine: whoever tries the page speaks when it is time."""


@asynccontextmanager
async def talking() -> AsyncIterator[Page]:
    """The page, connected."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = ("--url", TASK.url, "--key", TASK.key, "--port", port)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVE), *address, "--instructions", TASK.instructions),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()  # it tells where it runs
        async with chromium() as browser:
            page = await (await window(browser)).new_page()
            await page.add_init_script(MICROPHONE)
            await page.goto(f"http://127.0.0.1:{port}/")
            await page.get_by_role("button", name="Talk").click()
            await expect(page.get_by_role("status")).to_have_text("speak", timeout=WITHIN_MS)
            yield page
            check(not await page.locator(".error").count(), "the page shows an error")
    finally:
        process.terminate()
        await process.communicate()


async def say(page: Page, pcm: bytes) -> None:
    await page.evaluate("pcm => window.say(pcm)", base64.b64encode(pcm).decode())


async def line(page: Page, kind: str, text: str, number: int = 0) -> str:
    """Wait for a line of the page that holds some words."""
    found = page.locator(f"#words .{kind}").nth(number)
    await expect(found).to_contain_text(text, timeout=WITHIN_MS, ignore_case=True)
    return str(await found.text_content())


async def voice_turn() -> str:
    async with talking() as page:
        await say(page, TASK.open_monday)
        said = await line(page, "vita", "9 am")
        heard = await line(page, "you", "monday")
    return f"heard {heard!r}, said {said!r}"


async def interruption() -> str:
    async with talking() as page:
        await say(page, TASK.open_monday)
        await line(page, "vita", "9 am")  # written, and still being played
        await say(page, TASK.open_monday)
        cut = await line(page, "cut", "stopped after")
        said = await line(page, "vita", "9 am", 1)
    return f"{cut}, then said {said!r}"


async def image_input() -> str:
    async with talking() as page:
        await page.locator("#picture").set_input_files(TASK.folder / "circle.jpg")
        await line(page, "you", "a picture")
        await say(page, TASK.what_colour)
        said = await line(page, "vita", "red")
    return f"said {said!r}"


if __name__ == "__main__":
    asyncio.run(
        run_all(
            {
                "voice turn": voice_turn,
                "interruption with truncation": interruption,
                "image input": image_input,
            }
        )
    )
