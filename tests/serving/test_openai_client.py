"""The unmodified OpenAI client holds a conversation with the server."""

from __future__ import annotations

import base64
import wave
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from tests.serving.conftest import Start
from tests.serving.scripted_model import DONE, QUERY, spoken
from vita_model.engine.voice import Call, ToolCall, ToolOutput

pytestmark = pytest.mark.integration


async def test_a_spoken_turn_with_a_tool_ends_in_a_wav_file(
    start: Start, question: bytes, tmp_path: Path
) -> None:
    async with start(api_key="secret") as running:
        running.model.replies.append([QUERY, Call("opening_hours", '{"day": "Saturday"}'), DONE])
        running.model.replies.append([QUERY, *spoken("On Saturday we open at ten."), DONE])
        client = AsyncOpenAI(base_url=f"http://{running.address}/v1", api_key="secret")
        answer = bytearray()
        words = ""
        async with client.realtime.connect(model="scripted") as session:
            await session.session.update(
                session={
                    "type": "realtime",
                    "instructions": "You answer the phone.",
                    "audio": {
                        "input": {"transcription": {"model": "whisper-1"}},
                        "output": {"voice": "marin"},
                    },
                    "tools": [
                        {
                            "type": "function",
                            "name": "opening_hours",
                            "parameters": {"type": "object", "properties": {}},
                        }
                    ],
                }
            )
            for at in range(0, len(question), 4_800):
                piece = base64.b64encode(question[at : at + 4_800]).decode()
                await session.input_audio_buffer.append(audio=piece)
            async for event in session:
                if event.type == "response.function_call_arguments.done":
                    await session.conversation.item.create(
                        item={
                            "type": "function_call_output",
                            "call_id": event.call_id,
                            "output": '{"opens": "10:00"}',
                        }
                    )
                    await session.response.create()
                elif event.type == "response.output_audio.delta":
                    answer += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.done":
                    words = event.transcript
                elif event.type == "response.done" and words:
                    break
        file = tmp_path / "answer.wav"
        with wave.open(str(file), "wb") as out:
            out.setparams((1, 2, 24_000, 0, "NONE", "NONE"))
            out.writeframes(bytes(answer))
        with wave.open(str(file)) as back:
            assert back.getnframes() / back.getframerate() == pytest.approx(1.5)
        assert words == "On Saturday we open at ten."
        _, call, output = running.model.requests[-1].entries
        assert isinstance(call, ToolCall)
        assert isinstance(output, ToolOutput)
        assert call.call_id == output.call_id
        assert running.model.prepared == ["You answer the phone."]


async def test_the_client_cancels_and_truncates(start: Start) -> None:
    async with start() as running:
        running.model.replies.append([QUERY, *spoken("one two three four five six seven")])
        client = AsyncOpenAI(base_url=f"http://{running.address}/v1", api_key="unused")
        async with client.realtime.connect(model="scripted") as session:
            await session.response.create()
            cancelled = False
            async for event in session:
                if event.type == "response.output_audio.delta" and not cancelled:
                    cancelled = True
                    await session.response.cancel()
                    await session.conversation.item.truncate(
                        item_id=event.item_id, content_index=0, audio_end_ms=100
                    )
                elif event.type == "response.done":
                    assert event.response.status == "cancelled"
                elif event.type == "conversation.item.truncated":
                    assert event.audio_end_ms == 100
                    break
        assert running.model.cancelled.is_set()
