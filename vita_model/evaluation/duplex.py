"""Does the agent stop for the right sounds, and soon enough? The duplex set played into real turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vita_model.engine.voice import (
    Audio,
    Done,
    Heard,
    ReplyEvent,
    Request,
    Samples,
    State,
    Text,
    VoiceModel,
)
from vita_model.evaluation.duplex_set import Case, Kind
from vita_model.evaluation.virtual_call import Ears, VirtualCall
from vita_model.serving.vad import SileroDetector

Over = Literal["answer", "greeting"]
"""What the agent says when the sound comes: with a greeting it has not heard the caller yet."""
IN_TIME_S = 0.6
"""A query should have stopped the agent so long after its onset."""
MONOLOGUE = (
    "We are open from Monday to Friday from nine in the morning to half past five in the afternoon, "
    "and on Saturday from ten to two. You find us at fourteen Mill Lane, and there is free parking "
    "behind the building. A check-up is forty five dollars, and a cleaning is eighty five dollars."
)
_RATE = 16_000
_FIRST_SILENCE_S = 0.5
_ANSWER_DUE_S = 1.2
_AFTER_S = 1.6
_SPEAKS, _SPEAKING_BY_S = "response.output_audio.delta", 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    Attributes:
        kind: What the sound was.
        snr: Noise on the line, in decibels below the caller.
        text: Its words.
        voice: Who said them.
        stopped_s: When the agent stopped, from the onset of what is to be answered; None if never.
        ducked: The agent's voice was lowered.
        heard: The last transcript, as far as there was one.
    """

    kind: Kind
    snr: int
    text: str
    voice: str
    stopped_s: float | None
    ducked: bool
    heard: str

    @property
    def right(self) -> bool:
        """The agent stopped in time for a query, or went on with anything else."""
        if self.kind in ("query", "late query"):
            return self.stopped_s is not None and self.stopped_s <= IN_TIME_S
        return self.stopped_s is None


async def run(model: VoiceModel, cases: Iterable[Case], over: Over) -> AsyncIterator[Outcome]:
    """Play every case into a call of its own over the agent's speech; see `virtual_call` for time."""
    agent = _Monologue(model, [event async for event in model.say(MONOLOGUE)])
    detector = SileroDetector()
    for case in cases:
        call = VirtualCall(Ears(agent.hear, agent.reply, model.output_rate), detector)
        agent.heard = ""
        await call.begin()
        yield await _play(call, case, over, agent)
        await call.close()


async def _play(call: VirtualCall, case: Case, over: Over, agent: _Monologue) -> Outcome:
    line = _Line(call, case.noise)
    await line.hiss(_FIRST_SILENCE_S)
    if over == "greeting":
        await call.ask()
    else:
        await call.play(case.opening)
        await line.hiss(_ANSWER_DUE_S)
    if call.when("response.created") is None:
        await call.ask()  # the opening was not taken for a question
    while call.when(_SPEAKS) is None and call.now < _SPEAKING_BY_S:
        await line.hiss(0.1)
    await line.hiss(0.4 + len(case.text) % 7 / 5)
    onset = call.now + case.to_answer_from
    agent.heard = ""
    before = call.now
    await call.play(case.sound)
    await line.hiss(_AFTER_S)
    stopped = call.when("input_audio_buffer.speech_started", before)
    ducked = call.when("rate_limits.updated", before) is not None
    stopped_s = None if stopped is None else round(stopped - onset, 3)
    return Outcome(case.kind, case.snr, case.text, case.voice, stopped_s, ducked, agent.heard)


class _Line:
    """The line while nobody speaks: its noise goes on where it was."""

    def __init__(self, call: VirtualCall, noise: Samples) -> None:
        self._call = call
        self._noise = noise

    async def hiss(self, seconds: float) -> None:
        await self._call.play(np.resize(self._noise, int(seconds * _RATE)))


class _Monologue:
    """A model that hears as it does and answers everything with one long speech."""

    def __init__(self, model: VoiceModel, speech: Sequence[ReplyEvent]) -> None:
        self._model = model
        self._speech = [event for event in speech if isinstance(event, Text | Audio | Done)]
        self.heard = ""

    async def hear(self, samples: Samples) -> Heard:
        heard = await self._model.hear(samples)
        self.heard = heard.transcript
        return heard

    async def reply(self, _: Request) -> AsyncIterator[ReplyEvent]:
        yield State("query", {"query": 1.0, "typed": 0.0, "noise": 0.0})
        for event in self._speech:
            yield event
