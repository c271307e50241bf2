"""Twilio's media dialogue, without I/O: text frames in, checked events out.

The order is fixed: `connected`, `start`, then media, marks and digits until `stop`. A frame that
breaks a rule is reported and skipped; a stream that keeps breaking them is given up.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.api import DigitPressed, MarkPlayed, MediaFrame
from agent.mulaw import silence

MAX_MESSAGE = 64 * 1024
"""Longest text frame accepted, in characters."""

MAX_PAYLOAD = 8000
"""Most audio accepted in one frame, in bytes: one second."""

MAX_BAD_FRAMES = 20
"""Bad frames tolerated without a second of good ones in between."""

_FORGIVE_AFTER = 50
_BYTES_PER_MS = 8
_FRAME_MS = 20
_LONGEST_GAP_MS = 5000
_LONGEST_LEAP_MS = 60_000
_GAP_TOLERANCE_MS = 10

Number = Annotated[int, Field(ge=0, le=2**53)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _MediaFormat(_Message):
    encoding: Literal["audio/x-mulaw"]
    sampleRate: Literal[8000]  # noqa: N815 - Twilio's name
    channels: Literal[1]


class _StartBody(_Message):
    streamSid: str = Field(max_length=64)  # noqa: N815
    callSid: str = Field(max_length=64)  # noqa: N815
    accountSid: str = Field(max_length=64)  # noqa: N815
    customParameters: dict[str, str] = {}  # noqa: N815
    mediaFormat: _MediaFormat  # noqa: N815


class _MediaBody(_Message):
    track: Literal["inbound", "outbound"]
    timestamp: Number
    payload: str


class _MarkBody(_Message):
    name: str


class _DigitBody(_Message):
    digit: Annotated[str, Field(pattern=r"^[0-9*#A-D]$")]


class _Connected(_Message):
    event: Literal["connected"]


class _InStream(_Message):
    streamSid: str  # noqa: N815


class _Start(_InStream):
    event: Literal["start"]
    start: _StartBody


class _Media(_InStream):
    event: Literal["media"]
    media: _MediaBody


class _Mark(_InStream):
    event: Literal["mark"]
    mark: _MarkBody


class _Dtmf(_InStream):
    event: Literal["dtmf"]
    dtmf: _DigitBody


class _Stop(_InStream):
    event: Literal["stop"]


_MESSAGES: TypeAdapter[_Connected | _Start | _Media | _Mark | _Dtmf | _Stop] = TypeAdapter(
    Annotated[_Connected | _Start | _Media | _Mark | _Dtmf | _Stop, Field(discriminator="event")]
)


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The stream is open; `parameters` are those of its TwiML."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The stream is over: the caller hung up, or the call went on to something else."""


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A frame was skipped. `reason` never quotes it: it may hold anything."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The carrier lost `length_ms` of caller audio; silence follows in its place."""

    length_ms: int


StreamEvent = (
    StreamStarted | MediaFrame | MarkPlayed | DigitPressed | StreamStopped | BadFrame | Gap
)


class StreamGarbageError(Exception):
    """The far side does not speak the media stream protocol: close with 1008."""


class MediaDialogue:
    """One media stream as seen from our side."""

    def __init__(self) -> None:
        self._connected = False
        self._stream_sid: str | None = None
        self._stopped = False
        self._bad = 0
        self._good_in_a_row = 0
        self._next_timestamp: int | None = None

    def receive(self, message: str | bytes) -> list[StreamEvent]:
        """Digest one WebSocket message.

        Returns:
            What it means, in order; empty for messages without meaning to us.

        Raises:
            StreamGarbageError: Too many bad frames, or a stream we cannot serve.
        """
        try:
            events = self._digest(message)
        except ValueError as error:
            self._bad += 1
            self._good_in_a_row = 0
            if self._bad > MAX_BAD_FRAMES or self._stream_sid is None:
                raise StreamGarbageError(str(error)) from error
            return [BadFrame(str(error))]
        self._good_in_a_row += 1
        if self._good_in_a_row >= _FORGIVE_AFTER:
            self._bad = 0
        return events

    def _digest(self, message: str | bytes) -> list[StreamEvent]:
        if isinstance(message, bytes):
            raise ValueError("a binary frame")  # noqa: TRY004 - wrong content, not a wrong call
        if len(message) > MAX_MESSAGE:
            raise ValueError(f"a frame of {len(message)} characters")
        try:
            parsed = _MESSAGES.validate_json(message)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "frame"
            raise ValueError(f"{where}: {first['type']}") from None
        if isinstance(parsed, _Connected):
            return self._on_connected()
        if isinstance(parsed, _Start):
            return self._on_start(parsed)
        return self._on_streaming(parsed)

    def _on_connected(self) -> list[StreamEvent]:
        if self._connected:
            raise ValueError("a second connected message")
        self._connected = True
        return []

    def _on_start(self, message: _Start) -> list[StreamEvent]:
        if not self._connected:
            raise ValueError("start before connected")
        if self._stream_sid is not None:
            raise ValueError("a second start message")
        body = message.start
        if body.streamSid != message.streamSid:
            raise ValueError("start names two streams")
        self._stream_sid = body.streamSid
        return [StreamStarted(body.streamSid, body.callSid, body.accountSid, body.customParameters)]

    def _on_streaming(self, message: _Media | _Mark | _Dtmf | _Stop) -> list[StreamEvent]:
        if self._stream_sid is None:
            raise ValueError(f"{message.event} before start")
        if message.streamSid != self._stream_sid:
            raise ValueError(f"{message.event} of another stream")
        if self._stopped:
            raise ValueError(f"{message.event} after stop")
        if isinstance(message, _Media):
            return self._on_media(message.media)
        if isinstance(message, _Mark):
            return [MarkPlayed(message.mark.name)]
        if isinstance(message, _Dtmf):
            # A to D are on no phone people have, and nothing here means anything to them.
            digit = message.dtmf.digit
            return [] if digit.isalpha() else [DigitPressed(digit)]
        self._stopped = True
        return [StreamStopped()]

    def _on_media(self, media: _MediaBody) -> list[StreamEvent]:
        if media.track == "outbound":
            return []  # our own voice: fed back it would be taken for the caller's
        payload = _decode(media.payload)
        events: list[StreamEvent] = []
        due = media.timestamp if self._next_timestamp is None else self._next_timestamp
        if media.timestamp < due - _GAP_TOLERANCE_MS:
            raise ValueError("media.timestamp goes back")
        lost = media.timestamp - due
        if lost > _LONGEST_LEAP_MS:
            raise ValueError("media.timestamp leaps")
        if lost > _GAP_TOLERANCE_MS:
            events.append(Gap(lost))
            start = media.timestamp - min(lost, _LONGEST_GAP_MS)
            for at in range(start, media.timestamp, _FRAME_MS):
                length = min(_FRAME_MS, media.timestamp - at)
                events.append(MediaFrame(silence(length * _BYTES_PER_MS), at))
        events.append(MediaFrame(payload, media.timestamp))
        self._next_timestamp = media.timestamp + len(payload) // _BYTES_PER_MS
        return events


def _decode(text: str) -> bytes:
    try:
        payload = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("media.payload is not base64") from None
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise ValueError(f"media.payload of {len(payload)} bytes")
    return payload


def media_messages(stream_sid: str, payload: bytes) -> list[str]:
    """Play these µ-law bytes: one message a second of audio at most."""
    return [
        json.dumps(
            {
                "event": "media",
                "streamSid": stream_sid,
                "media": {
                    "payload": base64.b64encode(payload[at : at + MAX_PAYLOAD]).decode("ascii")
                },
            }
        )
        for at in range(0, len(payload), MAX_PAYLOAD)
    ]


def mark_message(stream_sid: str, name: str) -> str:
    """Tell us when playback gets here."""
    return json.dumps({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def clear_message(stream_sid: str) -> str:
    """Drop everything not yet played."""
    return json.dumps({"event": "clear", "streamSid": stream_sid})
