"""Drives a dialogue by hand, and holds every event it sends against the clients' own types."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

import numpy as np
from openai.types.realtime import RealtimeServerEvent
from pipecat.services.openai.realtime.events import parse_server_event

from tests.serving.scripted_model import DONE, QUERY, RATE, spoken
from vita_model.engine.voice import Heard, ReplyEvent, Samples, Seen
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.effects import Effect, Hear, HearUpload, Send, StartReply, StartSaying
from vita_model.serving.events import ProtocolError, parse_client_event
from vita_model.serving.hearing import OVER_ALL, Passes

Found = TypeVar("Found", bound=Effect)
_OPENAI = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
}
_DELTAS = {
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_text.delta",
}


class LevelDetector:
    """Loud is speech."""

    def probability(self, window: Samples) -> float:
        return float(np.abs(window).max() > 0.1)

    def reset(self) -> None:
        return None


def check_event(event: dict[str, Any]) -> None:
    """Both strict clients can read the event."""
    _OPENAI[event["type"]].model_validate(event)
    parse_server_event(json.dumps(event))


class Talk:
    """A dialogue with a clock that stands still unless told otherwise."""

    def __init__(self, *, passes: Passes | None = OVER_ALL, **session: Any) -> None:
        self.now = 100.0
        counter = itertools.count(1)
        self.dialogue = Dialogue(
            model_name="scripted",
            output_rate=RATE,
            detector=LevelDetector(),
            clock=lambda: self.now,
            ids=lambda prefix: f"{prefix}_{next(counter)}",
            passes=passes,
        )
        self.effects: list[Effect] = []
        self._take(self.dialogue.greet())
        if session:
            self.send("session.update", session={"type": "realtime", **session})
        self.clear()

    def clear(self) -> None:
        self.effects.clear()

    def send(self, kind: str, **fields: Any) -> list[Effect]:
        message = json.dumps({"type": kind, "event_id": "client_1", **fields})
        return self._take(self.dialogue.handle(parse_client_event(message)))

    def clear_sent(self) -> None:
        """Forget what was sent, but not what the model is asked."""
        self.effects = [effect for effect in self.effects if not isinstance(effect, Send)]

    def speech(self, ms: int, loudness: float = 0.5) -> list[Effect]:
        at = np.arange(RATE * ms // 1000) / RATE
        return self._audio(loudness * np.sin(2 * np.pi * 300 * at))

    def silence(self, ms: int) -> list[Effect]:
        return self._audio(np.zeros(RATE * ms // 1000))

    def wait(self, seconds: float, *, audio: bool = True) -> None:
        """Time passes in steps of 100 ms; line noise comes meanwhile, or the client sends nothing."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            if audio:
                self.silence(100)
            self._take(self.dialogue.tick())

    def turn(self, ms: int = 1_000, transcript: str = "hello") -> None:
        """A whole spoken turn that the model has listened to."""
        self.speech(ms)
        self.silence(640)
        self.hear(transcript)

    def hear(self, transcript: str = "hello") -> list[Effect]:
        """The model listens to what was asked last."""
        effect = [e for e in self.effects if isinstance(e, Hear | HearUpload)][-1]
        return self._take(
            self.dialogue.heard(effect.hearing_id, Heard(transcript, None, seconds=1.0))
        )

    def reply(self, events: Iterable[ReplyEvent] | None = None) -> list[Effect]:
        """The model answers what was asked last."""
        started = [e for e in self.effects if isinstance(e, StartReply | StartSaying)][-1]
        events = [QUERY, *spoken("It is nine."), DONE] if events is None else events
        return [e for event in events for e in self.give(started.reply_id, event)]

    def give(self, reply_id: str, event: ReplyEvent) -> list[Effect]:
        return self._take(self.dialogue.replied(reply_id, event))

    def failed(self, reply_id: str) -> list[Effect]:
        """The model cannot answer."""
        return self._take(self.dialogue.reply_failed(reply_id, "no mouth"))

    def _audio(self, samples: np.ndarray) -> list[Effect]:
        data = (samples * 32_767).astype("<i2").tobytes()
        return self._take(self.dialogue.append(data))

    def seen(self, seeing_id: str, result: Seen | ProtocolError) -> list[Effect]:
        """What the model makes of a picture."""
        if isinstance(result, ProtocolError):
            return self._take(self.dialogue.seeing_failed(seeing_id, result))
        return self._take(self.dialogue.seen(seeing_id, result))

    def _take(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if isinstance(effect, Send):
                check_event(effect.event)
        self.effects += effects
        return effects

    @property
    def events(self) -> list[dict[str, Any]]:
        return [effect.event for effect in self.effects if isinstance(effect, Send)]

    @property
    def kinds(self) -> list[str]:
        """Event types, each run of equal ones once."""
        return [kind for kind, _ in itertools.groupby(event["type"] for event in self.events)]

    @property
    def outline(self) -> list[str]:
        """Event types, with all that is spoken or typed in between as one "..."."""
        names = ("..." if kind in _DELTAS else kind for kind in self.kinds)
        return [kind for kind, _ in itertools.groupby(names)]

    def last(self, kind: str) -> dict[str, Any]:
        return next(event for event in reversed(self.events) if event["type"] == kind)

    def all(self, kind: type[Found]) -> list[Found]:
        return [effect for effect in self.effects if isinstance(effect, kind)]
