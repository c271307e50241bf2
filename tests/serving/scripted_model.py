"""A voice model that plays a script: no weights, no chance, no clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vita_model.engine.voice import (
    Audio,
    Done,
    EngineStats,
    Heard,
    ModelCard,
    PictureError,
    ReplyEvent,
    Request,
    Samples,
    Seen,
    State,
    Text,
    ToolError,
    ToolSpec,
)

RATE = 24_000
DONE = Done("stop", 40, 8, 12, {"prefill_s": 0.01})
QUERY = State("query", {"query": 0.9, "typed": 0.06, "noise": 0.04})
NOISE = State("noise", {"query": 0.1, "typed": 0.1, "noise": 0.8})


def tone(seconds: float) -> Samples:
    """A quiet 440 Hz tone."""
    at = np.arange(int(seconds * RATE)) / RATE
    return (0.2 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)


def spoken(text: str, seconds_per_word: float = 0.25) -> list[ReplyEvent]:
    """A text and its speech, one piece of audio for each word."""
    events: list[ReplyEvent] = [Text(text)]
    end = 0
    for word in text.split(" "):
        end = min(end + len(word) + 1, len(text))
        events.append(Audio(tone(seconds_per_word), end))
    return events


@dataclass
class ScriptedModel:
    """Hears the length of an utterance, and answers the next of `replies`, or with what it heard.

    A reply that does not end with `Done` goes on until it is cancelled.
    """

    replies: deque[list[ReplyEvent]] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    heard: list[Samples] = field(default_factory=list)
    partly: list[Request] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    certain: str = ""
    prepared: list[str] = field(default_factory=list)
    ahead: list[Request] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    broken: bool = False
    short_sighted: bool = False
    input_rate: int = 16_000
    hears_in_chunks: bool = False
    output_rate: int = RATE

    @property
    def card(self) -> ModelCard:
        return ModelCard("scripted", "Apache-2.0", "For tests.", 0)

    async def hear(self, samples: Samples) -> Heard:
        if self.broken:
            raise RuntimeError("no ears")
        self.heard.append(samples)
        seconds = len(samples) / self.input_rate
        return Heard(f"{seconds:.1f} seconds", None, seconds)

    async def hear_partly(self, request: Request, samples: Samples) -> str:
        self.partly.append(request)
        return self.certain

    def stats(self) -> EngineStats:
        return EngineStats(sessions=len(self.requests))

    async def see(self, data: bytes) -> Seen:
        if self.broken:
            raise RuntimeError("no eyes")
        if not data.startswith(b"\xff\xd8"):
            raise PictureError("The picture cannot be read.")
        return Seen(data, 4)

    async def check_tools(self, tools: Sequence[ToolSpec]) -> None:
        for tool in tools:
            if "not" in tool.parameters:
                raise ToolError(f"The tool {tool.name!r} cannot be offered.")

    async def prepare(self, session_id: str, instructions: str, tools: Sequence[ToolSpec]) -> None:
        self.prepared.append(instructions)

    async def look_ahead(self, request: Request) -> None:
        if self.short_sighted:
            raise RuntimeError("no foresight")
        self.ahead.append(request)

    async def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        if self.broken:
            raise RuntimeError("no mouth")
        self.requests.append(request)
        default = [QUERY, *spoken("I heard you."), DONE]
        events = self.replies.popleft() if self.replies else default
        for event in events:
            yield event
        if not isinstance(events[-1], Done):
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()

    async def say(self, text: str, voice: str = "default") -> AsyncIterator[ReplyEvent]:
        for event in [*spoken(text), DONE]:
            yield event

    async def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    async def close(self) -> None:
        self.closed = True
