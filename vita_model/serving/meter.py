"""What a model server measures, for Prometheus and for whoever spreads the load.

What a client notices follows from the events it is sent: `SessionMeter` watches those of one
session. No label holds a session, a key or a word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from vita_model.serving.events import Json

# Denser where somebody who waits on the phone begins to notice.
_ANSWER: Final = (
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.6,
    0.8,
    1.0,
    1.5,
    2.0,
    3.0,
    5.0,
    10.0,
)
_HEARING: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_REPLY: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0)

_WINDOW_S: Final = 300.0
_MOST: Final = 2000


class Recent:
    """Durations of the last five minutes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, float]] = deque(maxlen=_MOST)

    def add(self, seconds: float) -> None:
        """One more."""
        self._kept.append((self._clock(), seconds))

    def summary(self) -> Json:
        """How many, their median and the value that one in twenty exceeds, seconds."""
        begin = self._clock() - _WINDOW_S
        while self._kept and self._kept[0][0] < begin:
            self._kept.popleft()
        values = sorted(seconds for _, seconds in self._kept)
        if not values:
            return {"count": 0, "p50": None, "p95": None}
        return {
            "count": len(values),
            "p50": round(values[len(values) // 2], 3),
            "p95": round(values[min(len(values) * 95 // 100, len(values) - 1)], 3),
        }


class ServerMeter:
    """The measurements of one server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.recent = Recent(clock)
        self.registry = registry = CollectorRegistry()
        GCCollector(registry=registry)
        ProcessCollector(registry=registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"vita_model_{name}", about, labels, registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"vita_model_{name}", about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"vita_model_{name}", about, buckets=buckets, registry=registry)

        self.sessions = gauge("sessions", "Sessions that are open.")
        self.slots = gauge("session_slots", "Sessions there may be at once.")
        self.ready = gauge("ready", "1 while new sessions are taken.")
        self.opened = counter("sessions_opened", "Sessions that were opened.")
        self.refused = counter("sessions_refused", "Sessions that were refused.", "reason")
        self.turns = counter("turns", "Turns of callers.")
        self.replies = counter("replies", "Answers, by how they ended.", "status")
        self.errors = counter("errors", "Error events sent to clients, by code.", "code")
        self.first_audio = histogram(
            "first_audio_seconds",
            "From the end of a turn to the first sound of its answer.",
            _ANSWER,
        )
        self.reply = histogram(
            "reply_seconds", "From the beginning of an answer to its last event.", _REPLY
        )
        self.hearing = histogram(
            "hearing_seconds", "From the end of a turn until its words are known.", _HEARING
        )
        self.memory = gauge("memory_bytes", "Memory, by what it is.", "kind")
        self.engine = gauge("engine", "What the engine says of itself.", "figure")

    def exposition(self) -> bytes:
        """All measurements, in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass(slots=True)
class SessionMeter:
    """Turns the events one client is sent into measurements."""

    meter: ServerMeter
    _turn_ended: float | None = None
    _turns: dict[str, float] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)

    def saw(self, event: Json) -> None:
        """An event is on its way to the client."""
        meter, now = self.meter, self.meter.clock()
        match event["type"]:
            case "input_audio_buffer.committed":
                meter.turns.inc()
                self._turn_ended = self._turns[str(event["item_id"])] = now
            case "response.created":
                self._response_created(str(event["response"]["id"]), now)
            case "response.output_audio.delta":
                asked = self._asked.pop(str(event["response_id"]), None)
                if asked is not None:
                    meter.first_audio.observe(now - asked)
                    meter.recent.add(now - asked)
            case "response.done":
                self._response_done(event["response"], now)
            case "conversation.item.input_audio_transcription.completed":
                ended = self._turns.pop(str(event["item_id"]), None)
                if ended is not None:
                    meter.hearing.observe(now - ended)
            case "error":
                code = event["error"].get("code") or event["error"].get("type")
                meter.errors.labels(str(code)).inc()

    def _response_created(self, response_id: str, now: float) -> None:
        self._begun[response_id] = now
        ended, self._turn_ended = self._turn_ended, None
        self._asked[response_id] = now if ended is None else ended

    def _response_done(self, response: dict[str, Any], now: float) -> None:
        response_id = str(response["id"])
        self._asked.pop(response_id, None)
        self.meter.replies.labels(str(response["status"])).inc()
        begun = self._begun.pop(response_id, None)
        if begun is not None and response["status"] == "completed":
            self.meter.reply.observe(now - begun)
