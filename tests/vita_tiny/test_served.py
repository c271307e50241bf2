"""`vita model serve` with the embedded weights, talked to by the unmodified OpenAI client."""

import asyncio
import base64
import contextlib
import socket
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soxr
from openai import AsyncOpenAI

from tests.vita_tiny.material import recording

pytestmark = pytest.mark.model


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[str]:
    port = free_port()
    program = [sys.executable, "-m", "agent.cli.main"]
    command = Path(sys.executable).with_name("vita")
    program = [str(command)] if command.exists() else program
    process = await asyncio.create_subprocess_exec(
        *program, "model", "serve", "--port", str(port), "--drain-s", "0"
    )
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(90):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    ready = await client.get(f"http://127.0.0.1:{port}/readyz")
                    if ready.is_success:
                        break
                assert process.returncode is None
                await asyncio.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_a_spoken_question_gets_a_spoken_answer_in_a_wav_file(
    facts: str, tmp_path: Path
) -> None:
    question = soxr.resample(recording("1-open-monday"), 16_000, 24_000)
    pcm = (np.pad(question, (0, 24_000)) * 32_767).astype("<i2").tobytes()
    answer, said, heard = bytearray(), "", ""
    async with served() as address, asyncio.timeout(60):
        client = AsyncOpenAI(base_url=f"http://{address}/v1", api_key="none")
        async with client.realtime.connect(model="vita-tiny") as session:
            await session.session.update(
                session={
                    "type": "realtime",
                    "instructions": facts,
                    "audio": {"input": {"transcription": {"model": "vita"}}},
                }
            )
            for at in range(0, len(pcm), 4_800):
                piece = base64.b64encode(pcm[at : at + 4_800]).decode()
                await session.input_audio_buffer.append(audio=piece)
            async for event in session:
                if event.type == "conversation.item.input_audio_transcription.completed":
                    heard = event.transcript
                elif event.type == "response.output_audio.delta":
                    answer += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.done":
                    said = event.transcript
                elif event.type == "response.done":
                    assert event.response.status == "completed"
                    break
    file = tmp_path / "answer.wav"
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 24_000, 0, "NONE", "NONE"))
        out.writeframes(bytes(answer))
    with wave.open(str(file)) as back:
        sound = np.frombuffer(back.readframes(back.getnframes()), "<i2")
        assert 0.5 < len(sound) / back.getframerate() < 15
    assert float(np.abs(sound).max()) > 2_000
    assert "monday" in heard.lower()
    assert "9 am" in said
