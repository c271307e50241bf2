"""The far side of a media leg: plays in real time, returns marks, speaks when told to."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

from agent.api import DigitPressed, LegEvent, MarkPlayed, MediaFrame
from agent.audio import TELEPHONE, AudioFormat
from agent.calls.context import CallContext, CallIntents
from agent.calls.line import Line
from agent.errors import CarrierError

SILENCE = b"\xff" * 160
SPEECH = b"\x20" * 160


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; 10 seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.005)


class Phone:
    """A caller's phone, and the carrier's control of the call.

    Attributes:
        sent: Everything the agent sent, in order.
        played: Bytes that were really heard, by the moment they began, in seconds.
        actions: What was asked of the carrier.
    """

    def __init__(self, *, refuse: bool = False, audio: AudioFormat = TELEPHONE) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.played: list[tuple[float, bytes]] = []
        self.actions: list[str] = []
        self.audio = audio
        self._refuse = refuse
        self._events: asyncio.Queue[LegEvent | None] = asyncio.Queue()
        self._speech: deque[bytes] = deque()
        self._marks: deque[tuple[float, str]] = deque()
        self._dry_at = 0.0
        self._timestamp_ms = 0
        self._closed = False

    # What the agent does

    async def events(self) -> AsyncIterator[LegEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def send_audio(self, payload: bytes) -> None:
        start = max(self._dry_at, time.monotonic())
        self.sent.append(("audio", payload))
        self.played.append((start, payload))
        self._dry_at = start + len(payload) / 8000

    async def send_mark(self, name: str) -> None:
        self.sent.append(("mark", name))
        self._marks.append((self._dry_at, name))

    async def clear(self) -> None:
        now = time.monotonic()
        self.sent.append(("clear", None))
        kept = [(at, audio[: int(max(now - at, 0) * 8000)]) for at, audio in self.played]
        self.played = [piece for piece in kept if piece[1]]
        self._dry_at = now
        while self._marks:
            self._events.put_nowait(MarkPlayed(self._marks.popleft()[1]))

    async def close(self) -> None:
        self.hang_up_as_caller()

    async def hang_up(self) -> None:
        self._act("hang_up")
        await self._end()

    async def transfer(self, target: str) -> None:
        self._act(f"transfer {target}")
        await self._end()

    async def _end(self) -> None:
        """The carrier closes the leg before its own answer arrives."""
        self.hang_up_as_caller()
        await asyncio.sleep(0.05)

    def _act(self, action: str) -> None:
        self.actions.append(action)
        if self._refuse:
            raise CarrierError("the carrier refuses")

    # What the caller does

    async def run(self) -> None:
        """Play, return marks and send 50 frames a second until the leg is closed."""
        tick = time.monotonic()
        while not self._closed:
            while self._marks and self._marks[0][0] <= time.monotonic():
                self._events.put_nowait(MarkPlayed(self._marks.popleft()[1]))
            payload = self._speech.popleft() if self._speech else SILENCE
            self._events.put_nowait(MediaFrame(payload, self._timestamp_ms))
            self._timestamp_ms += 20
            tick += 0.02
            await asyncio.sleep(max(tick - time.monotonic(), 0))

    def speak(self, ms: int) -> None:
        self._speech.extend([SPEECH] * (ms // 20))

    def press(self, digits: str) -> None:
        for digit in digits:
            self._events.put_nowait(DigitPressed(digit))

    def hang_up_as_caller(self) -> None:
        if not self._closed:
            self._closed = True
            self._events.put_nowait(None)

    @property
    def heard(self) -> bytes:
        """What was played so far, without the gaps."""
        now = time.monotonic()
        return b"".join(audio[: int(max(now - at, 0) * 8000)] for at, audio in self.played)

    async def until_heard(self, tone: int, samples: int = 1) -> None:
        """Wait until so much of a tone was played."""
        await until(lambda: self.heard.count(tone) >= samples)


class Notebook:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.shown: list[tuple[str, Mapping[str, Any]]] = []

    def show(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.shown.append((kind, dict(payload)))

    def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:
        self.events.append((kind, dict(payload)))
        return len(self.events)

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [payload for name, payload in self.events if name == kind]

    async def until(self, kind: str, count: int = 1) -> list[Mapping[str, Any]]:
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)


class Toolbox:
    """`lookup` answers after a while, `end_call` and `transfer` ask for it, `broken` is a bug."""

    def __init__(self, intents: CallIntents, *, takes_s: float = 0.0) -> None:
        self.ran: list[tuple[str, str, str]] = []
        self.cancelled: list[str] = []
        self.finished: list[str] = []
        self.may_finish = asyncio.Event()
        self._intents = intents
        self._takes_s = takes_s

    def specs(self) -> list[dict[str, Any]]:
        return [{"type": "function", "name": "lookup", "parameters": {"type": "object"}}]

    def may_cancel(self, name: str) -> bool:
        return name == "lookup"

    async def run(self, name: str, arguments: str, tool_call_id: str) -> str:
        self.ran.append((name, arguments, tool_call_id))
        try:
            if self._takes_s == inf:
                await self.may_finish.wait()
            else:
                await asyncio.sleep(self._takes_s)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.finished.append(name)
        if name == "broken":
            raise RuntimeError("out of order")
        if name == "end_call":
            self._intents.ask_hang_up("goodbye")
        if name == "transfer":
            self._intents.ask_transfer("+15550199", "wants a person")
        return '{"answer": 42}'


def context(
    *, tool_s: float = 0.0, recording: Path | None = None, **line: Any
) -> tuple[CallContext, Notebook, Toolbox]:
    """The context of one call, with its journal and tools."""
    settings: dict[str, Any] = {"business": "Test", "greeting": "Hello there.", **line}
    settings["recording"] = recording is not None
    duration = settings.pop("max_duration_s", 600)
    configured = Line(number="+15550100", **settings)
    configured = configured.model_copy(update={"max_duration_s": duration})
    intents, journal = CallIntents(), Notebook()
    tools = Toolbox(intents, takes_s=tool_s)
    return (
        CallContext(
            call_id="call-1",
            line=configured,
            direction="inbound",
            caller_number="+15550111",
            journal=journal,
            tools=tools,
            intents=intents,
            recording_path=recording,
        ),
        journal,
        tools,
    )
