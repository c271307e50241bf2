"""The openai Python SDK against the server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides

from tests.conformance.clients.task import (
    ORDER_QUESTION,
    ORDER_RESULT,
    ORDER_SCHEMA,
    RATE,
    Task,
    check,
    run_all,
)

TASK = Task.laid_out()
SILENCE = bytes(RATE * 2)


@dataclass
class Answer:
    """What was seen until an answer was done."""

    heard: str = ""
    said: str = ""
    audio: bytearray = field(default_factory=bytearray)
    calls: list[Any] = field(default_factory=list)
    cut: list[Any] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)


def settings() -> Any:
    return {
        "type": "realtime",
        "instructions": TASK.instructions,
        "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
        "tools": [
            {
                "type": "function",
                "name": "lookup_order",
                "description": "find the status of an order",
                "parameters": ORDER_SCHEMA,
            }
        ],
    }


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[AsyncRealtimeConnection]:
    client = AsyncOpenAI(base_url=TASK.url, api_key=TASK.key)
    async with client.realtime.connect(model="vita-tiny", **options) as session:
        await session.session.update(session=settings())
        yield session


async def say(session: AsyncRealtimeConnection, pcm: bytes) -> None:
    data = pcm + SILENCE
    for at in range(0, len(data), 4_800):
        piece = base64.b64encode(data[at : at + 4_800]).decode()
        await session.input_audio_buffer.append(audio=piece)


async def answer(session: AsyncRealtimeConnection) -> Answer:
    """Read on until an answer is done."""
    seen = Answer()
    async for event in session:
        match event.type:
            case "conversation.item.input_audio_transcription.completed":
                seen.heard = event.transcript
            case "response.output_audio.delta":
                seen.audio += base64.b64decode(event.delta)
            case "response.output_audio_transcript.delta":
                seen.said += event.delta
            case "response.done":
                seen.statuses.append(str(event.response.status))
                seen.calls = [
                    item for item in event.response.output or [] if item.type == "function_call"
                ]
                return seen
            case "error":
                raise AssertionError(event.error.message)
    raise AssertionError("The connection ended before the answer did.")


async def voice_turn() -> str:
    async with connected() as session:
        await say(session, TASK.open_monday)
        seen = await answer(session)
    check("monday" in seen.heard.lower(), f"heard {seen.heard!r}")
    check("9 am" in seen.said, f"said {seen.said!r}")
    check(len(seen.audio) > RATE, "less than half a second of sound")
    return f"heard {seen.heard!r}, said {seen.said!r}, {len(seen.audio) / 2 / RATE:.1f} s"


async def tool_round_trip() -> str:
    async with connected() as session:
        text: Any = [{"type": "input_text", "text": ORDER_QUESTION}]
        await session.conversation.item.create(
            item={"type": "message", "role": "user", "content": text}
        )
        await session.response.create()
        (call,) = (await answer(session)).calls
        check(json.loads(call.arguments) == {"order_id": "48213"}, call.arguments)
        await session.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": json.dumps(ORDER_RESULT),
            }
        )
        await session.response.create()
        seen = await answer(session)
    check("deliver" in seen.said, f"said {seen.said!r}")
    return f"{call.name}({call.arguments}), said {seen.said!r}"


async def interruption() -> str:
    async with connected() as session:
        await say(session, TASK.open_monday)
        item_id = None
        over, truncated = False, 0
        async for event in session:
            match event.type:
                case "response.output_audio.delta" if item_id is None:
                    item_id = event.item_id
                    await say(session, TASK.open_monday)
                case "input_audio_buffer.speech_started" if item_id is not None:
                    await session.conversation.item.truncate(
                        item_id=item_id, content_index=0, audio_end_ms=300
                    )
                case "conversation.item.truncated":
                    check(event.item_id == item_id, "another item was cut")
                    truncated = event.audio_end_ms
                    over = True
                case "response.done" if over:
                    break
                case "error":
                    raise AssertionError(event.error.message)
        check(item_id, "no sound came")
        await session.conversation.item.retrieve(item_id=str(item_id))
        async for event in session:
            if event.type == "conversation.item.retrieved":
                content: Any = event.item.content  # type: ignore[union-attr]
                kept = len(base64.b64decode(content[0].audio)) * 1000 // (2 * RATE)
                break
    check(kept <= truncated, f"{kept} ms of sound were kept of {truncated}")
    return f"cut at {truncated} ms, {kept} ms kept"


async def image_input() -> str:
    async with connected() as session:
        url = f"data:image/jpeg;base64,{base64.b64encode(TASK.circle).decode()}"
        picture: Any = [{"type": "input_image", "image_url": url}]
        await session.conversation.item.create(
            item={"type": "message", "role": "user", "content": picture}
        )
        await say(session, TASK.what_colour)
        seen = await answer(session)
    check("red" in seen.said, f"said {seen.said!r}")
    return f"said {seen.said!r}"


async def reconnect() -> str:
    codes: list[int] = []

    def again(event: ReconnectingEvent) -> ReconnectingOverrides | None:
        codes.append(event.close_code)
        return None

    async with connected(on_reconnecting=again) as session:
        await say(session, TASK.open_monday)
        first = await answer(session)
        await asyncio.to_thread(TASK.cut)
        async for event in session:
            if event.type == "session.created":
                break
        await session.session.update(session=settings())
        before: Any = [{"type": "output_text", "text": first.said}]
        await session.conversation.item.create(
            item={"type": "message", "role": "assistant", "content": before}
        )
        await say(session, TASK.open_monday)
        seen = await answer(session)
    check(codes, "the SDK did not reconnect")
    check("9 am" in seen.said, f"said {seen.said!r}")
    return f"closed with {codes[0]}, then said {seen.said!r}"


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
