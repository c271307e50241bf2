"""A session of the real dialogue and a real model, in virtual time.

The caller's audio passes in frames of 20 ms. What the model computes takes as long in virtual time
as it took processor time of this process: a free core is assumed, and another program on the
machine changes nothing. Work that would run side by side is not slowed by its neighbour.
"""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import soxr

from vita_model.audio.telephone import encode
from vita_model.engine.voice import Heard, ReplyEvent, Request, Samples
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.effects import (
    CancelHearing,
    CancelReply,
    Effect,
    Hear,
    Send,
    StartReply,
    StartSaying,
)
from vita_model.serving.events import Json, parse_client_event
from vita_model.serving.vad import VAD_RATE, SpeechDetector

FRAME_S = 0.02
LINE_RATE = 8_000
LINE = {"format": {"type": "audio/pcmu"}}


@dataclass(frozen=True, slots=True)
class Ears:
    """What a call needs of a model: `VoiceModel.hear` and `.reply`, or stand-ins for them."""

    hear: Callable[[Samples], Awaitable[Heard]]
    reply: Callable[[Request], AsyncIterator[ReplyEvent]]
    output_rate: int


@dataclass(frozen=True, slots=True)
class Told:
    """An event the client was sent, and when, in seconds."""

    at: float
    event: Json


class VirtualCall:
    """One call on an 8 kHz line with `semantic_vad`, or whatever turn detection is given.

    Attributes:
        now: Seconds since the call began.
        told: Every event sent to the client.
        cost_s: Processor seconds the model took for listening.
    """

    def __init__(
        self, model: Ears, detector: SpeechDetector, turn_detection: Json | None = None
    ) -> None:
        self.now = 0.0
        self.told: list[Told] = []
        self.cost_s = 0.0
        self._model = model
        self._order = itertools.count()
        self._due: list[tuple[float, int, str, Callable[[], list[Effect]]]] = []
        self._wanted: set[str] = set()
        self._replies: dict[str, AsyncIterator[ReplyEvent]] = {}
        detector.reset()
        self._dialogue = Dialogue(
            model_name="evaluated",
            output_rate=model.output_rate,
            detector=detector,
            clock=lambda: self.now,
        )
        detection = turn_detection or {"type": "semantic_vad"}
        audio = {"input": {**LINE, "turn_detection": detection}, "output": LINE}
        update = {"type": "session.update", "session": {"type": "realtime", "audio": audio}}
        self._settings = json.dumps(update)

    async def begin(self) -> None:
        """Open the session."""
        await self._do(self._dialogue.handle(parse_client_event(self._settings)))

    async def play(self, samples: Samples) -> None:
        """Let the line carry samples at 16 kHz, frame by frame."""
        narrow = soxr.resample(samples, VAD_RATE, LINE_RATE)
        data, step = encode(narrow, "audio/pcmu"), int(LINE_RATE * FRAME_S)
        for start in range(0, len(data), step):
            end = self.now + FRAME_S
            await self._until(end)
            self.now = end
            await self._do(self._dialogue.append(data[start : start + step]))

    async def ask(self) -> None:
        """Ask for an answer, as a client does that wants a greeting."""
        await self._do(self._dialogue.handle(parse_client_event('{"type": "response.create"}')))

    def when(self, kind: str, since: float = 0.0) -> float | None:
        """The first time an event of a type was sent after a moment."""
        return next((t.at for t in self.told if t.at >= since and t.event["type"] == kind), None)

    async def close(self) -> None:
        """Stop what the model still computes."""
        for key in list(self._replies):
            await self._stop(key)

    async def _until(self, end: float) -> None:
        while self._due and self._due[0][0] <= end:
            at, _, key, give = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if key in self._wanted:
                await self._do(give())
                if key in self._replies:
                    await self._next_piece(key)

    async def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(event=event):
                    self.told.append(Told(self.now, event))
                case Hear(hearing_id=key, samples=samples):
                    await self._hear(key, samples)
                case StartReply(reply_id=key, request=request):
                    self._wanted.add(key)
                    self._replies[key] = self._model.reply(request)
                    await self._next_piece(key)
                case CancelHearing(hearing_id=key):
                    self._wanted.discard(key)
                case CancelReply(reply_id=key):
                    await self._stop(key)
                case StartSaying():
                    raise NotImplementedError("A virtual call says no given texts.")
                case _:
                    pass  # prompts and pictures have no part in it

    async def _hear(self, key: str, samples: Samples) -> None:
        began = time.process_time()
        heard = await self._model.hear(samples)
        cost = time.process_time() - began
        self.cost_s += cost
        self._wanted.add(key)
        self._later(cost, key, lambda: self._dialogue.heard(key, heard))

    async def _next_piece(self, key: str) -> None:
        began = time.process_time()
        event = await anext(self._replies[key], None)
        if event is None:
            await self._stop(key)
            return
        cost = time.process_time() - began
        self._later(cost, key, lambda: self._dialogue.replied(key, event))

    def _later(self, cost: float, key: str, give: Callable[[], list[Effect]]) -> None:
        heapq.heappush(self._due, (self.now + cost, next(self._order), key, give))

    async def _stop(self, key: str) -> None:
        self._wanted.discard(key)
        events = self._replies.pop(key, None)
        if isinstance(events, AsyncGenerator):
            await events.aclose()
