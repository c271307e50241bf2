"""A model server that follows a script: the Realtime protocol on a real socket, and no model."""

from __future__ import annotations

import base64
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from agent.mulaw import SAMPLE_RATE, decode, encode
from agent.testing.script import Says, Turn, Uses

Event = dict[str, Any]

SILENCE_MS = 300
_VOICE_RMS = 200.0
_FRAME = SAMPLE_RATE // 50
_MS_PER_CHARACTER = 15
_SORRY = Says("The script has come to its end.")


def sound_of(text: str) -> bytes:
    """A hum, µ-law, longer for a longer text."""
    length = SAMPLE_RATE * max(300, _MS_PER_CHARACTER * len(text)) // 1000
    time = np.arange(length) / SAMPLE_RATE
    return encode((6000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16))


@asynccontextmanager
async def scripted_model(turns: Sequence[Turn]) -> AsyncIterator[str]:
    """Serve the script on a free loopback port; yields the Realtime endpoint."""
    waiting = deque(turns)

    async def session(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await _Session(socket, waiting).run()

    async with serve(session, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"


class _Session:
    def __init__(self, socket: ServerConnection, turns: deque[Turn]) -> None:
        self._socket = socket
        self._turns = turns
        self._answers: deque[Says | Uses] = deque()
        self._ids = itertools.count(1)
        self._frames = 0
        self._item = ""
        self._silent_ms = 0

    async def run(self) -> None:
        await self._send("session.created", session={"id": "scripted"})
        async for message in self._socket:
            event = json.loads(message)
            match event["type"]:
                case "input_audio_buffer.append":
                    await self._hear(base64.b64decode(event["audio"]))
                case "session.update":
                    await self._send("session.updated", session=event["session"])
                case "conversation.item.create":
                    await self._send("conversation.item.added", item=event["item"])
                case "response.create":
                    await self._asked(event)

    async def _hear(self, audio: bytes) -> None:
        for start in range(0, len(audio), _FRAME):
            self._frames += 1
            samples = decode(audio[start : start + _FRAME]).astype(np.float32)
            voiced = bool(np.sqrt((samples**2).mean()) >= _VOICE_RMS)
            if not self._item and voiced:
                self._item, self._silent_ms = f"caller_{next(self._ids)}", 0
                began = {"audio_start_ms": self._frames * 20, "item_id": self._item}
                await self._send("input_audio_buffer.speech_started", **began)
            elif self._item:
                self._silent_ms = 0 if voiced else self._silent_ms + 20
                if self._silent_ms >= SILENCE_MS:
                    item, self._item = self._item, ""
                    await self._turn(item)

    async def _turn(self, item: str) -> None:
        turn = self._turns.popleft() if self._turns else Turn("", deque([_SORRY]))
        self._answers = turn.answers
        end_ms = self._frames * 20 - SILENCE_MS
        await self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item)
        await self._send("input_audio_buffer.committed", item_id=item)
        await self._send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item,
            transcript=turn.words,
        )
        await self._respond(self._next(), {})

    async def _asked(self, event: Event) -> None:
        metadata = (event.get("response") or {}).get("metadata") or {}
        fixed = metadata.get("vita_say")
        await self._respond(Says(fixed) if fixed else self._next(), metadata)

    def _next(self) -> Says | Uses:
        return self._answers.popleft() if self._answers else _SORRY

    async def _respond(self, answer: Says | Uses, metadata: dict[str, str]) -> None:
        response = {"id": f"response_{next(self._ids)}", "metadata": metadata}
        item = f"item_{next(self._ids)}"
        await self._send("response.created", response=response)
        if isinstance(answer, Says):
            audio = base64.b64encode(sound_of(answer.words)).decode("ascii")
            text = {"item_id": item, "delta": answer.words}
            await self._send("response.output_audio_transcript.delta", **text)
            await self._send("response.output_audio.delta", item_id=item, delta=audio)
            await self._send("response.output_audio.done", item_id=item)
        else:
            call = {"type": "function_call", "call_id": f"call_{next(self._ids)}"}
            await self._send("response.output_item.added", item={**call, "name": answer.name})
            await self._send(
                "response.function_call_arguments.done",
                item_id=item,
                call_id=call["call_id"],
                arguments=json.dumps(dict(answer.arguments)),
            )
        await self._send("response.done", response={**response, "status": "completed"})

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))
