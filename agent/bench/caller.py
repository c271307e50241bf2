"""One measured caller: a media socket that speaks, listens to the whole answer, and speaks again."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from agent.bench.script import (
    BYTES_PER_S,
    FRAME_S,
    PAUSE_FRAMES,
    REPLY_S,
    SILENCE,
    SPEECH_FRAMES,
    voice,
)
from agent.errors import VitaError
from connectors.twilio.twin.account import TwinAccount, new_sid
from connectors.twilio.twin.signer import signature_headers

OPEN_LIMIT_S = 30.0
ANSWER_LIMIT_FRAMES = 500


class BenchError(VitaError):
    """A part of the measurement did not start, or did not do what it should."""

    code = "bench"


@dataclass(slots=True)
class Heard:
    """What one caller's line received. Times are `time.monotonic` seconds.

    Attributes:
        turns: When the last voiced frame of each turn left, and when the first of its answer came.
        frames: 20 ms frames the answers have.
        missed: 20 ms frames that came too late to be played without a gap.
    """

    turns: list[dict[str, float]] = field(default_factory=list)
    frames: int = 0
    missed: float = 0.0


class Caller:
    """Talks on one media socket until told to stop.

    Args:
        number: Which caller it is; its voice tells it apart.
        takes_turns: Whether to wait for answers; an echo is talked to without a pause.
    """

    def __init__(self, number: int, *, takes_turns: bool) -> None:
        self.heard = Heard()
        self.counting = False
        """Answers that begin while this is set count."""
        self._voice = voice(number)
        self._takes_turns = takes_turns
        self._stream_sid = new_sid("MZ")
        self._chunk = 0
        self._answered = asyncio.Event()
        self._turn: dict[str, float] | None = None
        self._plays_until = 0.0
        self._bytes = 0

    async def talk(self, socket: ClientConnection, start: dict[str, Any]) -> None:
        """Run until cancelled or the socket is closed."""
        await socket.send(json.dumps({"event": "connected", "protocol": "Call"}))
        await socket.send(
            json.dumps(
                {"event": "start", "streamSid": self._stream_sid, "sequenceNumber": "1"} | start
            )
        )
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(socket), name="caller.ear")
            await self._speak(socket)
            listening.cancel()

    def start_message(self, account: TwinAccount, call_sid: str, token: str) -> dict[str, Any]:
        """The `start` message's body."""
        return {
            "start": {
                "accountSid": account.sid,
                "streamSid": self._stream_sid,
                "callSid": call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": token},
            }
        }

    async def _speak(self, socket: ClientConnection) -> None:
        due = time.monotonic()
        while True:
            for _ in range(SPEECH_FRAMES):
                due = await self._frame(socket, self._voice, due)
            self._answered.clear()
            self._bytes = 0
            self._turn = {"spoke_at": time.monotonic()}
            waited = 0
            while self._takes_turns and not self._answered.is_set():
                due = await self._frame(socket, SILENCE, due)
                waited += 1
                if waited > ANSWER_LIMIT_FRAMES:
                    break
            for _ in range(PAUSE_FRAMES):
                due = await self._frame(socket, SILENCE, due)

    async def _frame(self, socket: ClientConnection, payload: bytes, due: float) -> float:
        self._chunk += 1
        media = {
            "event": "media",
            "sequenceNumber": str(self._chunk + 1),
            "streamSid": self._stream_sid,
            "media": {
                "track": "inbound",
                "chunk": str(self._chunk),
                "timestamp": str((self._chunk - 1) * 20),
                "payload": base64.b64encode(payload).decode(),
            },
        }
        await socket.send(json.dumps(media))
        due += FRAME_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        return due

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            event = json.loads(message)
            if event["event"] == "media":
                self._hear(base64.b64decode(event["media"]["payload"]), time.monotonic())
            elif event["event"] == "mark":
                await self._echo_mark(socket, event["mark"])

    def _hear(self, payload: bytes, now: float) -> None:
        length_s = len(payload) / BYTES_PER_S
        turn, self._turn = self._turn, None
        if turn is not None and self._takes_turns:
            self._plays_until = now
            if self.counting:
                self.heard.turns.append(turn | {"heard_at": now})
        elif now > self._plays_until > 0 and self._bytes:
            if self.counting:
                self.heard.missed += (now - self._plays_until) / FRAME_S
            self._plays_until = now
        self._plays_until = max(self._plays_until, now) + length_s
        self._bytes += len(payload)
        if self.counting:
            self.heard.frames += round(length_s / FRAME_S)
        if self._bytes >= REPLY_S * BYTES_PER_S:
            self._bytes = 0
            asyncio.get_running_loop().call_at(self._plays_until, self._answered.set)

    async def _echo_mark(self, socket: ClientConnection, mark: dict[str, str]) -> None:
        """The carrier reports a mark once all before it has played."""
        message = {"event": "mark", "streamSid": self._stream_sid, "mark": mark}
        wait_s = self._plays_until - time.monotonic()

        def send() -> None:
            if socket.state.name == "OPEN":
                socket.protocol.send_text(json.dumps(message).encode())
                for data in socket.protocol.data_to_send():
                    socket.transport.write(data)

        asyncio.get_running_loop().call_later(max(0.0, wait_s), send)


@asynccontextmanager
async def agents_line(voice_url: str, number: str, caller: Caller) -> AsyncIterator[Any]:
    """Announce a call at the agent's webhook and open its media stream, both signed."""
    account, call_sid = TwinAccount(), "CA" + secrets.token_hex(16)
    fields = {
        "CallSid": call_sid,
        "AccountSid": account.sid,
        "From": "+15550123",
        "To": number,
        "CallStatus": "ringing",
        "Direction": "inbound",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=OPEN_LIMIT_S) as client:
        answer = await client.post(
            voice_url, data=fields, headers=signature_headers(account, voice_url, fields)
        )
    stream = re.search(r'<Stream [^>]*\burl="([^"]+)"', answer.text)
    token = re.search(r'<Parameter [^>]*\bvalue="([^"]+)"', answer.text)
    if stream is None or token is None:
        raise BenchError(f"The agent did not connect the call: {answer.text}")
    url = unescape(stream[1])
    async with connect(
        url,
        additional_headers=signature_headers(account, url, {}),
        compression=None,
        proxy=None,
        open_timeout=OPEN_LIMIT_S,
    ) as socket:
        yield socket, caller.start_message(account, call_sid, unescape(token[1]))


@asynccontextmanager
async def echos_line(url: str, caller: Caller) -> AsyncIterator[Any]:
    """Open a media stream at the bare echo, which asks for no signature."""
    account = TwinAccount()
    async with connect(url, compression=None, proxy=None, open_timeout=OPEN_LIMIT_S) as socket:
        yield socket, caller.start_message(account, new_sid("CA"), "")
