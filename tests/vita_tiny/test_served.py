"""`vita model serve` with the embedded weights, talked to by the unmodified OpenAI client."""

import base64
import contextlib
import io
import socket
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soxr
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.vita_tiny.material import question, recording
from vita_model.engine.voice import Samples
from vita_model.training.pictures import Shown, plain

pytestmark = pytest.mark.model


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    port = free_port()
    command = Path(sys.executable).with_name("vita")
    program = [str(command)] if command.exists() else [sys.executable, "-m", "agent.cli.main"]
    process = subprocess.Popen([*program, "model", "serve", "--port", str(port), "--drain-s", "0"])
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            assert process.poll() is None
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                    break
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@contextlib.asynccontextmanager
async def session(address: str, facts: str) -> AsyncIterator[AsyncRealtimeConnection]:
    client = AsyncOpenAI(base_url=f"http://{address}/v1", api_key="none")
    async with client.realtime.connect(model="vita-tiny") as connection:
        transcription = {"transcription": {"model": "vita"}}
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": facts,
                "audio": {"input": transcription},
            }
        )
        yield connection


@dataclass
class Answer:
    heard: str = ""
    said: str = ""
    audio: bytearray = field(default_factory=bytearray)
    usage: dict[str, Any] = field(default_factory=dict)


async def speak(connection: AsyncRealtimeConnection, samples: Samples) -> Answer:
    """Say something and a second of silence; waits for the whole answer."""
    question = soxr.resample(samples, 16_000, 24_000)
    pcm = (np.pad(question, (0, 24_000)) * 32_767).astype("<i2").tobytes()
    for at in range(0, len(pcm), 4_800):
        piece = base64.b64encode(pcm[at : at + 4_800]).decode()
        await connection.input_audio_buffer.append(audio=piece)
    answer = Answer()
    async for event in connection:
        if event.type == "conversation.item.input_audio_transcription.completed":
            answer.heard = event.transcript
        elif event.type == "response.output_audio.delta":
            answer.audio += base64.b64decode(event.delta)
        elif event.type == "response.output_audio_transcript.done":
            answer.said = event.transcript
        elif event.type == "response.done":
            assert event.response.status == "completed"
            answer.usage = event.response.usage.model_dump()
            break
    return answer


async def show(connection: AsyncRealtimeConnection, picture: bytes) -> None:
    url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    content = [{"type": "input_image", "image_url": url}]
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": content}
    )


def camera(shown: Shown) -> bytes:
    out = io.BytesIO()
    plain(shown).save(out, "JPEG", quality=80)
    return out.getvalue()


async def test_a_spoken_question_gets_a_spoken_answer_in_a_wav_file(
    address: str, facts: str, tmp_path: Path
) -> None:
    async with session(address, facts) as connection:
        answer = await speak(connection, recording("1-open-monday"))
    file = tmp_path / "answer.wav"
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 24_000, 0, "NONE", "NONE"))
        out.writeframes(bytes(answer.audio))
    with wave.open(str(file)) as back:
        sound = np.frombuffer(back.readframes(back.getnframes()), "<i2")
        assert 0.5 < len(sound) / back.getframerate() < 15
    assert float(np.abs(sound).max()) > 2_000
    assert "monday" in answer.heard.lower()
    assert "9 am" in answer.said
    assert answer.usage["input_token_details"]["image_tokens"] == 0


async def test_a_picture_is_asked_about_aloud_and_then_a_fact(address: str, facts: str) -> None:
    async with session(address, facts) as connection:
        await show(connection, camera(Shown("red", "circle")))
        colour = await speak(connection, question("what_colour"))
        await show(connection, camera(Shown("green", "star")))
        fact = await speak(connection, recording("1-open-monday"))
    assert "red" in colour.said
    assert colour.usage["input_token_details"]["image_tokens"] == 4
    assert "9 am" in fact.said
    assert fact.usage["input_token_details"]["image_tokens"] == 8
    assert fact.usage["input_token_details"]["cached_tokens"] >= colour.usage["input_tokens"]


async def test_a_number_is_read_aloud(address: str, facts: str) -> None:
    async with session(address, facts) as connection:
        await show(connection, camera(Shown("blue", "7")))
        number = await speak(connection, question("what_number"))
    assert "7" in number.said


async def test_a_bad_picture_is_an_error_and_the_conversation_goes_on(
    address: str, facts: str
) -> None:
    async with session(address, facts) as connection:
        await show(connection, b"\xff\xd8 no picture")
        async for event in connection:
            if event.type == "error":
                break
        assert event.error.param == "item.content.image_url"
        assert "whole JPEG or PNG" in event.error.message
        answer = await speak(connection, recording("1-open-monday"))
    assert "9 am" in answer.said
