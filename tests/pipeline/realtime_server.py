"""A scripted Realtime server on a real socket: hears loudness, answers from a list."""

from __future__ import annotations

import base64
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.pipeline.phone import until

Event = dict[str, Any]

SILENCE_MS = 100
"""Silence that ends a turn."""


@dataclass(frozen=True)
class Say:
    """Answer with `ms` of sound whose every byte is `tone`; break the connection on the way."""

    text: str
    ms: int = 300
    tone: int = 0x10
    drop_after_ms: int | None = None


@dataclass(frozen=True)
class CallTool:
    """Answer with a tool call."""

    name: str
    arguments: str = "{}"
    call_id: str = "call_1"


@dataclass(frozen=True)
class Noise:
    """Take the turn for noise."""


@dataclass(frozen=True)
class Fail:
    """Answer with a failed response."""


@dataclass(frozen=True)
class Mute:
    """Never answer."""


Answer = Say | CallTool | Noise | Fail | Mute

Choose = Callable[[str], "Script"]

_ids = itertools.count(1)


@dataclass
class Script:
    """What the caller's turns are transcribed as, and how they are answered."""

    words: deque[str] = field(default_factory=deque)
    answers: deque[Answer] = field(default_factory=deque)
    say_ms: int = 200
    transcribe: bool = True
    early_words: tuple[str, ...] = ()
    sessions: list[Session] = field(default_factory=list)
    status: int | None = None

    def received(self, kind: str, session: int = -1) -> list[Event]:
        """Client events of one type in one session, in order."""
        return [event for event in self.sessions[session].received if event["type"] == kind]

    async def until(self, kind: str, count: int = 1, session: int = -1) -> list[Event]:
        """Wait for client events."""
        await until(lambda: bool(self.sessions) and len(self.received(kind, session)) >= count)
        return self.received(kind, session)


class Session:
    """One connection."""

    def __init__(
        self, script: Script, socket: ServerConnection, choose: Choose | None = None
    ) -> None:
        self.received: list[Event] = []
        self.heard = bytearray()
        self.socket = socket
        self._script = script
        self._choose = choose
        self._voiced_from: int | None = None
        self._silent_ms = 0
        self._item = ""
        self._active: str | None = None

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event."""
        await self.socket.send(json.dumps({"type": kind, "event_id": f"e{next(_ids)}", **fields}))

    async def run(self) -> None:
        """Serve until the connection closes."""
        await self.send("session.created", session={"id": "s"})
        async for message in self.socket:
            event = json.loads(message)
            if event["type"] == "input_audio_buffer.append":
                await self._hear(base64.b64decode(event["audio"]))
                continue
            self.received.append(event)
            match event["type"]:
                case "session.update":
                    if self._choose is not None:
                        self._script = self._choose(event["session"]["instructions"])
                        self._script.sessions.append(self)
                    await self.send("session.updated", session=event["session"])
                case "conversation.item.create":
                    await self.send("conversation.item.added", item=event["item"])
                case "response.create":
                    await self._create(event)
                case "response.cancel":
                    await self._cancel()

    async def _hear(self, payload: bytes) -> None:
        for start in range(0, len(payload), 160):
            piece = payload[start : start + 160]
            self.heard += piece
            now_ms = len(self.heard) // 8
            voiced = any(byte != 0xFF for byte in piece)
            if self._voiced_from is None:
                if voiced:
                    self._voiced_from, self._silent_ms = now_ms - 20, 0
                    self._item = f"user_{next(_ids)}"
                    await self.send(
                        "input_audio_buffer.speech_started",
                        audio_start_ms=self._voiced_from,
                        item_id=self._item,
                    )
                    await self._cancel()
                continue
            self._silent_ms = 0 if voiced else self._silent_ms + 20
            if self._silent_ms >= SILENCE_MS:
                self._voiced_from = None
                await self._turn(now_ms - self._silent_ms)

    async def _turn(self, end_ms: int) -> None:
        item = self._item
        for piece in self._script.early_words:
            await self.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=item,
                content_index=0,
                delta=piece,
            )
        await self.send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item)
        await self.send("input_audio_buffer.committed", item_id=item)
        await self.send("conversation.item.added", item={"id": item, "role": "user"})
        if self._script.transcribe:
            await self.send(
                "conversation.item.input_audio_transcription.completed",
                item_id=item,
                content_index=0,
                transcript=self._script.words.popleft(),
            )
        await self._answer({})

    async def _create(self, event: Event) -> None:
        metadata = (event.get("response") or {}).get("metadata") or {}
        if self._active is not None:
            await self.send(
                "error",
                error={
                    "type": "invalid_request_error",
                    "code": "conversation_already_has_active_response",
                    "message": "busy",
                    "event_id": event.get("event_id"),
                },
            )
        elif "vita_say" in metadata:
            await self._respond(Say(metadata["vita_say"], self._script.say_ms), metadata)
        else:
            await self._answer(metadata)

    async def _answer(self, metadata: dict[str, str]) -> None:
        if not isinstance(self._script.answers[0], Mute):
            await self._respond(self._script.answers.popleft(), metadata)

    async def _respond(self, answer: Answer, metadata: dict[str, str]) -> None:
        response, item = f"resp_{next(_ids)}", f"item_{next(_ids)}"
        ids = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        self._active = response
        await self.send("response.created", response={"id": response, "metadata": metadata})
        status = "completed"
        match answer:
            case Say():
                if not await self._speak(answer, ids):
                    return
            case CallTool(name=name, arguments=arguments, call_id=call_id):
                call = {"id": item, "type": "function_call", "name": name, "call_id": call_id}
                await self.send("response.output_item.added", **ids, item=call)
                await self.send(
                    "response.function_call_arguments.done",
                    **ids,
                    call_id=call_id,
                    arguments=arguments,
                )
            case Noise():
                metadata = {**metadata, "vita_state": "noise"}
            case Fail():
                status = "failed"
        self._active = None
        await self._done(response, status, metadata)

    async def _speak(self, answer: Say, ids: Event) -> bool:
        pieces = list(range(0, answer.ms, 100))
        words = answer.text.split(" ")
        per_piece = -(-len(words) // len(pieces))
        for number, start_ms in enumerate(pieces):
            if answer.drop_after_ms is not None and start_ms >= answer.drop_after_ms:
                self.socket.transport.abort()
                return False
            text = " ".join(words[number * per_piece : (number + 1) * per_piece])
            if text:
                lead = " " if number else ""
                await self.send("response.output_audio_transcript.delta", **ids, delta=lead + text)
            length = min(100, answer.ms - start_ms) * 8
            audio = base64.b64encode(bytes([answer.tone]) * length).decode()
            await self.send("response.output_audio.delta", **ids, delta=audio)
        await self.send("response.output_audio.done", **ids)
        return True

    async def _cancel(self) -> None:
        if self._active is not None:
            response, self._active = self._active, None
            await self._done(response, "cancelled", {})

    async def _done(self, response: str, status: str, metadata: dict[str, str]) -> None:
        await self.send(
            "response.done",
            response={"id": response, "status": status, "metadata": metadata, "output": []},
        )


@asynccontextmanager
async def realtime_server(
    script: Script, port: int = 0, choose: Choose | None = None
) -> AsyncIterator[tuple[str, Server]]:
    """Serve `script` on a loopback port; yields the URL and the server.

    With `choose`, a session goes by the script it picks for the session's instructions.
    """

    async def session(socket: ServerConnection) -> None:
        session = Session(script, socket, choose)
        script.sessions.append(session)
        with suppress(ConnectionClosed):
            await session.run()

    def refuse(socket: ServerConnection, _request: Any) -> Any:
        return socket.respond(script.status, "no") if script.status else None

    async with serve(session, "127.0.0.1", port, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime", server
