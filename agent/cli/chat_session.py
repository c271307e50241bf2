"""A typed conversation with a Realtime model server."""

from __future__ import annotations

import asyncio
import base64
import json
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from agent.calls.line import Line
from agent.errors import ModelUnavailableError
from agent.settings import Settings
from agent.tools.testing import ToolCall
from agent.tools.tool import Tool

RATE = 24_000
CONNECT_LIMIT_S = 5.0
SILENT_LIMIT_S = 60.0
MAX_TOOL_ROUNDS = 4

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of an answer: its words as they come, or a tool that is used."""

    kind: Literal["words", "tool"]
    text: str


@dataclass(slots=True)
class ChatSession:
    """One session. `audio` collects everything said, 16-bit PCM at 24 kHz."""

    socket: ClientConnection
    line: Line
    tools: Mapping[str, Tool]
    call: ToolCall
    audio: bytearray = field(default_factory=bytearray)

    async def ask(self, text: str, picture: str | None = None) -> AsyncIterator[Heard]:
        """Type one turn, perhaps with a picture (a data URI); yields the answer as it comes.

        Raises:
            ModelUnavailableError: The server went away, fell silent or failed.
        """
        content = [_typed(text)]
        if picture is not None:
            content.insert(0, {"type": "input_image", "image_url": picture})
        await self._add({"type": "message", "role": "user", "content": content})
        for _ in range(MAX_TOOL_ROUNDS):
            calls: list[Event] = []
            await self._send("response.create")
            async for event in self._until_done():
                if event["type"] == "response.output_audio_transcript.delta":
                    yield Heard("words", event["delta"])
                elif event["type"] == "response.done":
                    calls = _calls(event["response"])
            for call in calls:
                answer = await self._run(call)
                yield Heard("tool", f"{call['name']} {call['arguments']} → {answer}")
                output = {"call_id": call["call_id"], "output": answer}
                await self._add({"type": "function_call_output", **output})
            if not calls:
                return

    async def configure(self) -> None:
        """Tell the server who it is and what it may use."""
        await self._send(
            "session.update",
            session={
                "type": "realtime",
                "instructions": self.line.instructions(),
                "output_modalities": ["audio"],
                "tools": [tool.spec() for tool in self.tools.values()],
                "audio": {
                    "input": {"turn_detection": None},
                    "output": {"format": {"type": "audio/pcm", "rate": RATE}},
                },
            },
        )

    def save(self, path: Path) -> None:
        """Write everything said so far as a WAV."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(bytes(self.audio))

    async def _until_done(self) -> AsyncIterator[Event]:
        """Events of the response in progress, its end included."""
        while True:
            event = await self._receive()
            if event["type"] == "response.output_audio.delta":
                self.audio += base64.b64decode(event["delta"])
            elif event["type"] == "error":
                raise ModelUnavailableError(f"The model server refused: {_message(event)}")
            yield event
            if event["type"] == "response.done":
                if event["response"].get("status") == "failed":
                    raise ModelUnavailableError("The model server could not make an answer.")
                return

    async def _run(self, call: Event) -> str:
        tool = self.tools.get(call["name"])
        if tool is None:
            return json.dumps({"error": f"there is no tool {call['name']}"})
        try:
            arguments = json.loads(call["arguments"] or "{}")
        except ValueError as error:
            return json.dumps({"error": str(error)})
        trial = await self.call.run(tool, arguments)
        return json.dumps(trial.answer)

    async def _add(self, item: Event) -> None:
        await self._send("conversation.item.create", item=item)

    async def _send(self, kind: str, **fields: Any) -> None:
        try:
            await self.socket.send(json.dumps({"type": kind, **fields}))
        except ConnectionClosed as error:
            raise ModelUnavailableError("The model server closed the session.") from error

    async def _receive(self) -> Event:
        try:
            async with asyncio.timeout(SILENT_LIMIT_S):
                event: Event = json.loads(await self.socket.recv())
        except TimeoutError as error:
            raise ModelUnavailableError(
                f"The model server has sent nothing for {SILENT_LIMIT_S:.0f} s."
            ) from error
        except (ConnectionClosed, ValueError) as error:
            raise ModelUnavailableError("The model server closed the session.") from error
        return event


@asynccontextmanager
async def open_chat(
    settings: Settings, line: Line, tools: Mapping[str, Tool]
) -> AsyncIterator[ChatSession]:
    """Open a session that speaks for a line.

    Raises:
        ModelUnavailableError: No server answers, or it refuses.
    """
    key = settings.model_api_key.get_secret_value()
    url = server = settings.model_urls[0]
    if "model=" not in url:
        url += ("&" if "?" in url else "?") + urlencode({"model": "vita"})
    try:
        socket = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {key}"} if key else None,
            open_timeout=CONNECT_LIMIT_S,
            proxy=None,
            max_size=4 << 20,
        )
    except InvalidStatus as error:
        raise ModelUnavailableError(
            f"The model server at {server} refuses with HTTP "
            f"{error.response.status_code}: check VITA_MODEL_URL and VITA_MODEL_API_KEY."
        ) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ModelUnavailableError(
            f"No model server answers at {server}: start one with `vita model serve`, "
            "or give another --model-url."
        ) from error
    async with socket:
        call = ToolCall(settings.data_dir, line=line, secrets=settings.tool_secrets())
        try:
            session = ChatSession(socket, line, tools, call)
            await session.configure()
            yield session
        finally:
            await call.close()


def _typed(text: str) -> Event:
    return {"type": "input_text", "text": text}


def _calls(response: Event) -> list[Event]:
    return [item for item in response.get("output", []) if item.get("type") == "function_call"]


def _message(event: Event) -> str:
    error = event.get("error")
    return str(error.get("message")) if isinstance(error, dict) else "no reason given"
