"""The carrier's end of one media stream: what Twilio sends, accepts and refuses."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidURI,
    WebSocketException,
)

from connectors.twilio.twin.account import TwinAccount, new_sid
from connectors.twilio.twin.audio import FRAME_MS
from connectors.twilio.twin.faults import FrameFaults, bad_message
from connectors.twilio.twin.line import Line
from connectors.twilio.twin.playout import Playout
from connectors.twilio.twin.signer import signature_headers
from connectors.twilio.twin.timeline import Timeline

CONNECT_LIMIT_S = 5.0
GOODBYE_LIMIT_S = 1.0
QUEUED_MESSAGES = 250
"""Messages kept for an agent that reads too slowly: five seconds of audio."""

StreamEnd = Literal["closed", "lost", "failed"]
"""The agent closed the stream; the connection broke; it never started or broke the protocol."""


class StreamFault(Exception):  # noqa: N818 - Twilio's word for it
    """A stream that cannot go on; `code` is Twilio's error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class MediaStream:
    """One `<Stream>`. While it runs it is the caller's ear and mouth."""

    def __init__(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        call_sid: str,
        account: TwinAccount,
        timeline: Timeline,
        tls: ssl.SSLContext | None = None,
        faults: FrameFaults | None = None,
        on_event: Callable[[str, str], None] = lambda _event, _error: None,
        connect_limit_s: float = CONNECT_LIMIT_S,
    ) -> None:
        self.sid = new_sid("MZ")
        self._url = url
        self._parameters = dict(parameters)
        self._call_sid = call_sid
        self._account = account
        self._timeline = timeline
        self._tls = tls
        self._connect_limit_s = connect_limit_s
        self._faults = faults or FrameFaults()
        self._on_event = on_event
        self._held: list[str] = []
        self._playout = Playout()
        self._outbox: asyncio.Queue[str | bytes] = asyncio.Queue(QUEUED_MESSAGES)
        self._sequence = 0
        self._ticks = 0
        self._chunk = 0
        self._overflowed = False

    async def run(self, line: Line) -> StreamEnd:
        """Connect, stream until either side ends it. When cancelled, says `stop` and closes."""
        try:
            socket = await self._connect()
            async with socket:
                return await self._stream(socket, line)
        except StreamFault as fault:
            self._fail(fault)
            return "failed"
        finally:
            if self._chunk:
                self._on_event("stream-stopped", "")
            self._timeline.add("stream", event="ended", frames=self._chunk)

    async def _connect(self) -> ClientConnection:
        parts = urlsplit(self._url)
        if parts.query:
            raise StreamFault(31920, "a stream URL must have no query string")
        if parts.scheme not in ("ws", "wss"):
            raise StreamFault(31920, f"{self._url} is not a WebSocket address")
        try:
            return await connect(
                self._url,
                additional_headers=signature_headers(self._account, self._url, {}),
                compression=None,
                proxy=None,
                open_timeout=self._connect_limit_s,
                close_timeout=GOODBYE_LIMIT_S,
                ssl=(self._tls or True) if parts.scheme == "wss" else None,
            )
        except (InvalidHandshake, InvalidURI) as error:
            raise StreamFault(31920, f"the upgrade was refused: {error}") from error
        except ssl.SSLError as error:
            raise StreamFault(31910, f"no TLS: {error.reason}") from error
        except (OSError, WebSocketException) as error:
            raise StreamFault(31901, f"no connection: {type(error).__name__}") from error

    async def _stream(self, socket: ClientConnection, line: Line) -> StreamEnd:
        self._timeline.add("stream", event="started", sid=self.sid, url=self._url)
        self._on_event("stream-started", "")
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        self._queue(json.dumps(connected))
        self._queue_in_stream("start", self._start_body())
        try:
            with line.connected(self._playout, self):
                async with asyncio.TaskGroup() as group:
                    sending = group.create_task(self._send(socket), name=f"{self.sid}.send")
                    end = await self._read(socket)
                    sending.cancel()
        except asyncio.CancelledError:
            await self._say_goodbye(socket)
            raise
        return end

    async def _read(self, socket: ClientConnection) -> StreamEnd:
        try:
            async for message in socket:
                self._take(message)
        except StreamFault as fault:
            self._fail(fault)
            await socket.close(1002)
            return "failed"
        except ConnectionClosed as error:
            self._timeline.add("stream", event="closed", code=socket.close_code)
            return "lost" if error.rcvd is None else "closed"
        self._timeline.add("stream", event="closed", code=socket.close_code)
        return "closed"

    def _fail(self, fault: StreamFault) -> None:
        self._timeline.add("error", code=fault.code, reason=str(fault))
        self._on_event("stream-error", str(fault.code))

    async def _send(self, socket: ClientConnection) -> None:
        try:
            while True:
                await socket.send(await self._outbox.get())
        except ConnectionClosed:
            return  # the reader tells how it ended

    async def _say_goodbye(self, socket: ClientConnection) -> None:
        """The call goes on to something else, or is over."""
        body = {"accountSid": self._account.sid, "callSid": self._call_sid}
        try:
            async with asyncio.timeout(GOODBYE_LIMIT_S):
                await socket.send(self._in_stream("stop", body))
                await socket.close()
        except (TimeoutError, ConnectionClosed):
            self._timeline.add("warning", code=31921, reason="the agent closed first")

    def hear(self, frame: bytes) -> None:
        """Send the caller's next 20 ms."""
        if self._faults.half_open or self._faults.is_lost():
            self.miss()
            return
        while self._faults.bad:
            self._queue(bad_message(self._faults.bad.popleft(), self.sid))
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(self._ticks * FRAME_MS),
            "payload": base64.b64encode(frame).decode("ascii"),
        }
        self._ticks += 1
        self._held.append(self._in_stream("media", media))
        if len(self._held) > self._faults.jitter:
            self._release()

    def _release(self) -> None:
        """Send what jitter has held back; nothing overtakes it."""
        for message in self._held:
            self._queue(message)
        self._held.clear()

    def miss(self) -> None:
        """20 ms of the caller got lost: presentation time goes on without them."""
        self._ticks += 1

    def press(self, digit: str) -> None:
        """Report a key."""
        self._timeline.add("sent", event="dtmf", digit=digit)
        self._queue_in_stream("dtmf", {"track": "inbound_track", "digit": digit})

    def played(self, marks: tuple[str, ...]) -> None:
        """Echo marks."""
        for name in marks:
            self._timeline.add("sent", event="mark", name=name)
            self._queue_in_stream("mark", {"name": name})

    def _take(self, message: str | bytes) -> None:
        """Accept one message of the agent.

        Raises:
            StreamFault: 31924, it is not one of media, mark and clear, or not well formed.
        """
        event, body = self._checked(message)
        if event == "media":
            payload = _audio(body.get("payload"))
            self._timeline.add("received", event=event, bytes=len(payload))
            self._playout.push(payload)
        elif event == "mark":
            name = body.get("name")
            if not isinstance(name, str) or not name:
                raise StreamFault(31924, "a mark without a name")
            self._timeline.add("received", event=event, name=name)
            self._playout.mark(name)
        else:
            self._timeline.add("received", event=event, dropped_ms=self._playout.queued_ms)
            self.played(self._playout.clear())

    def _checked(self, message: str | bytes) -> tuple[str, dict[str, Any]]:
        if isinstance(message, bytes):
            raise StreamFault(31924, "a binary frame")
        try:
            parsed = json.loads(message)
        except (ValueError, RecursionError):
            raise StreamFault(31924, "a frame that is not JSON") from None
        if not isinstance(parsed, dict) or parsed.get("event") not in ("media", "mark", "clear"):
            raise StreamFault(31924, "a message that is not media, mark or clear")
        if parsed.get("streamSid") != self.sid:
            raise StreamFault(31924, "a message for another stream")
        event: str = parsed["event"]
        body = parsed.get(event, {})
        if not isinstance(body, dict):
            raise StreamFault(31924, f"{event} is not an object")
        return event, body

    def _start_body(self) -> dict[str, Any]:
        return {
            "accountSid": self._account.sid,
            "streamSid": self.sid,
            "callSid": self._call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._parameters,
        }

    def _in_stream(self, event: str, body: Mapping[str, Any]) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                event: body,
                "streamSid": self.sid,
            }
        )

    def _queue_in_stream(self, event: str, body: Mapping[str, Any]) -> None:
        self._release()
        if self._faults.half_open:
            return
        self._queue(self._in_stream(event, body))

    def _queue(self, message: str | bytes) -> None:
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            if not self._overflowed:
                self._overflowed = True
                self._timeline.add("error", code=31930, reason="the agent reads too slowly")


def _audio(payload: object) -> bytes:
    try:
        decoded = base64.b64decode(payload, validate=True) if isinstance(payload, str) else b""
    except binascii.Error:
        decoded = b""
    if not decoded:
        raise StreamFault(31924, "a payload that is not base64 audio")
    return decoded
