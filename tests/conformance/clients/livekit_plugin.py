"""livekit-plugins-openai's RealtimeModel against the server, as an AgentSession drives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import llm
from livekit.agents.llm import function_tool
from livekit.plugins import openai
from openai.types.realtime import AudioTranscription
from PIL import Image

from tests.conformance.clients.task import (
    ORDER_QUESTION,
    ORDER_RESULT,
    RATE,
    Task,
    check,
    run_all,
)

TASK = Task.laid_out()
STEP_MS = 20
STEP = RATE * 2 * STEP_MS // 1000
INTERRUPT_AFTER_MS = 300


@function_tool
async def lookup_order(order_id: str) -> str:
    """find the status of an order"""
    return json.dumps(ORDER_RESULT | {"order_id": order_id})


@dataclass
class Answer:
    """One generation, read to its end."""

    item_id: str = ""
    said: str = ""
    seconds: float = 0.0
    calls: list[llm.FunctionCall] = field(default_factory=list)


class Caller:
    """A session with a microphone that is never still."""

    def __init__(self, session: openai.realtime.RealtimeSession) -> None:
        self.session = session
        self.unsaid = b""
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.started: asyncio.Queue[llm.InputSpeechStartedEvent] = asyncio.Queue()
        self.answers: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.faults: list[object] = []
        session.on("generation_created", self.answers.put_nowait)
        session.on("input_speech_started", self.started.put_nowait)
        session.on("input_audio_transcription_completed", self._transcribed)
        session.on("openai_server_event_received", self._received)
        session.on("error", lambda error: self.faults.append(error.error))

    def _transcribed(self, event: Any) -> None:
        if event.is_final:
            self.heard.put_nowait(event.transcript)

    def _received(self, event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.truncated":
            self.received.put_nowait(event)

    async def listen(self) -> None:
        while True:
            piece, self.unsaid = self.unsaid[:STEP], self.unsaid[STEP:]
            data = piece + bytes(STEP - len(piece))
            self.session.push_audio(rtc.AudioFrame(data, RATE, 1, STEP // 2))
            await asyncio.sleep(STEP_MS / 1000)

    async def answer(self) -> Answer:
        return await self.read(await self.answers.get())

    async def read(self, generation: llm.GenerationCreatedEvent) -> Answer:
        seen = Answer()
        async for message in generation.message_stream:
            seen.item_id = message.message_id
            async for frame in message.audio_stream:
                seen.seconds += frame.duration
            async for text in message.text_stream:
                seen.said += str(text)
        seen.calls = [call async for call in generation.function_stream]
        return seen


@asynccontextmanager
async def connected(*, faultless: bool = True) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(
            model="vita-tiny",
            base_url=TASK.url,
            api_key=TASK.key,
            http_session=http,
            input_audio_transcription=AudioTranscription(model="gpt-4o-mini-transcribe"),
        )
        session = model.session()
        caller = Caller(session)
        try:
            async with asyncio.TaskGroup() as group:
                microphone = group.create_task(caller.listen())
                await session.update_instructions(TASK.instructions)
                await session.update_tools([lookup_order])
                yield caller
                microphone.cancel()
        finally:
            await session.aclose()
            await model.aclose()
    check(not (faultless and caller.faults), f"errors: {caller.faults}")


async def voice_turn() -> str:
    async with connected() as caller:
        caller.unsaid = TASK.open_monday
        seen = await caller.answer()
        heard = await caller.heard.get()
    check("monday" in heard.lower(), f"heard {heard!r}")
    check("9 am" in seen.said, f"said {seen.said!r}")
    check(seen.seconds > 0.5, "less than half a second of sound")
    return f"heard {heard!r}, said {seen.said!r}, {seen.seconds:.1f} s"


async def tool_round_trip() -> str:
    async with connected() as caller:
        context = caller.session.chat_ctx.copy()
        context.add_message(role="user", content=ORDER_QUESTION)
        await caller.session.update_chat_ctx(context)
        asked = await caller.read(await caller.session.generate_reply())
        (call,) = asked.calls
        context = caller.session.chat_ctx.copy()
        context.items.append(
            llm.FunctionCallOutput(
                call_id=call.call_id,
                name=call.name,
                output=json.dumps(ORDER_RESULT),
                is_error=False,
            )
        )
        await caller.session.update_chat_ctx(context)
        seen = await caller.read(await caller.session.generate_reply())
    check(json.loads(call.arguments) == {"order_id": "48213"}, call.arguments)
    check("deliver" in seen.said, f"said {seen.said!r}")
    return f"{call.name}({call.arguments}), said {seen.said!r}"


async def interruption() -> str:
    async with connected() as caller:
        caller.unsaid = TASK.open_monday
        generation = await caller.answers.get()
        while not caller.started.empty():
            caller.started.get_nowait()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(caller.read(generation))
            caller.unsaid = TASK.open_monday
            await caller.started.get()
            caller.session.interrupt()
        first = reading.result()
        caller.session.truncate(
            message_id=first.item_id, modalities=["audio"], audio_end_ms=INTERRUPT_AFTER_MS
        )
        cut = await caller.received.get()
        check(cut["item_id"] == first.item_id, "another item was cut")
        check(cut["audio_end_ms"] == INTERRUPT_AFTER_MS, f"it was cut at {cut['audio_end_ms']} ms")
        second = await caller.answer()
    check("9 am" in second.said, f"then said {second.said!r}")
    return f"cut at {cut['audio_end_ms']} ms, then said {second.said!r}"


async def image_input() -> str:
    async with connected() as caller:
        with Image.open(TASK.folder / "circle.jpg") as picture:
            pixels = picture.convert("RGBA")
        frame = rtc.VideoFrame(*pixels.size, rtc.VideoBufferType.RGBA, pixels.tobytes())
        caller.session.push_video(frame)
        caller.unsaid = TASK.what_colour
        seen = await caller.answer()
    check("red" in seen.said, f"said {seen.said!r}")
    return f"said {seen.said!r}"


async def reconnect() -> str:
    async with connected(faultless=False) as caller:
        again = asyncio.Event()
        caller.session.on("session_reconnected", lambda _: again.set())
        caller.unsaid = TASK.open_monday
        await caller.answer()
        before = [item.id for item in caller.session.chat_ctx.items]
        await asyncio.to_thread(TASK.cut)
        await again.wait()
        caller.unsaid = TASK.open_monday
        seen = await caller.answer()
        after = [item.id for item in caller.session.chat_ctx.items]
    check(before, "no history before the cut")
    check(after[: len(before)] == before, "the history was not replayed")
    check("9 am" in seen.said, f"said {seen.said!r}")
    return f"{len(before)} items replayed, then said {seen.said!r}"


if __name__ == "__main__":
    asyncio.run(
        run_all(
            {
                "voice turn": voice_turn,
                "tool round trip": tool_round_trip,
                "interruption with truncation": interruption,
                "image input": image_input,
                "reconnect": reconnect,
            }
        )
    )
