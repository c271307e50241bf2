"""A scripted Realtime server as a process of its own: `python -m agent.bench.model`.

It answers every turn with four seconds of sound, made three times as fast as it is played. Line one
of its output is its address; when its input is closed it prints when it heard and answered each turn.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import sys
import time
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from agent.bench.script import (
    BYTES_PER_S,
    DELTA_EVERY_S,
    DELTA_S,
    FRAME_BYTES,
    REPLY_S,
    SILENT_FRAMES,
    WORDS,
    caller_of,
)

_ids = itertools.count(1)
_TONE = bytes([0x30]) * int(DELTA_S * BYTES_PER_S)


class Session:
    """One call's session."""

    def __init__(self, socket: ServerConnection, turns: list[dict[str, Any]]) -> None:
        self._socket = socket
        self._turns = turns
        self._heard = 0
        self._last_voice: float | None = None
        self._caller = 0
        self._silent = 0
        self._item = ""

    async def run(self) -> None:
        """Serve until the connection closes."""
        await self._send("session.created", session={"id": f"s{next(_ids)}"})
        async with asyncio.TaskGroup() as group:
            async for message in self._socket:
                event = json.loads(message)
                match event["type"]:
                    case "input_audio_buffer.append":
                        await self._hear(base64.b64decode(event["audio"]), group)
                    case "session.update":
                        await self._send("session.updated", session=event["session"])
                    case "conversation.item.create":
                        await self._send("conversation.item.added", item=event["item"])
                    case "response.create":
                        metadata = (event.get("response") or {}).get("metadata") or {}
                        _ = group.create_task(self._reply(metadata, 1.0), name="model.reply")

    async def _hear(self, payload: bytes, group: asyncio.TaskGroup) -> None:
        now = time.monotonic()
        for start in range(0, len(payload), FRAME_BYTES):
            self._heard += 20
            caller = caller_of(payload[start : start + FRAME_BYTES])
            if caller is not None:
                if self._last_voice is None:
                    self._item = f"user_{next(_ids)}"
                    await self._send(
                        "input_audio_buffer.speech_started",
                        audio_start_ms=self._heard - 20,
                        item_id=self._item,
                    )
                self._last_voice, self._caller, self._silent = now, caller, 0
            elif self._last_voice is not None:
                self._silent += 1
                if self._silent == SILENT_FRAMES:
                    heard_at, self._last_voice = self._last_voice, None
                    await self._end_turn()
                    turn = {"caller": self._caller, "heard_at": heard_at}
                    self._turns.append(turn)
                    _ = group.create_task(self._reply({}, REPLY_S, turn), name="model.reply")

    async def _end_turn(self) -> None:
        end_ms = self._heard - 20 * SILENT_FRAMES
        item = self._item
        await self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item)
        await self._send("input_audio_buffer.committed", item_id=item)
        await self._send("conversation.item.added", item={"id": item, "role": "user"})
        await self._send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item,
            content_index=0,
            transcript="when are you open on saturday",
        )

    async def _reply(
        self, metadata: dict[str, str], seconds: float, turn: dict[str, Any] | None = None
    ) -> None:
        response, item = f"resp_{next(_ids)}", f"item_{next(_ids)}"
        ids = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self._send("response.created", response={"id": response, "metadata": metadata})
        audio = base64.b64encode(_TONE).decode()
        words = WORDS.split(" ")
        for number in range(round(seconds / DELTA_S)):
            if number < len(words):
                text = (" " if number else "") + words[number]
                await self._send("response.output_audio_transcript.delta", **ids, delta=text)
            if turn is not None:
                turn.setdefault("answered_at", time.monotonic())
            await self._send("response.output_audio.delta", **ids, delta=audio)
            await asyncio.sleep(DELTA_EVERY_S)
        await self._send("response.output_audio.done", **ids)
        done = {"id": response, "status": "completed", "metadata": metadata, "output": []}
        await self._send("response.done", response=done)

    async def _send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": f"e{next(_ids)}", **fields}
        await self._socket.send(json.dumps(event))


async def main() -> None:
    """Serve until standard input is closed."""
    turns: list[dict[str, Any]] = []

    async def session(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed, ExceptionGroup):
            await Session(socket, turns).run()

    async with serve(session, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(f"ws://127.0.0.1:{port}/v1/realtime\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        server.close(close_connections=True)
    sys.stdout.write(json.dumps(turns))


if __name__ == "__main__":
    asyncio.run(main())
