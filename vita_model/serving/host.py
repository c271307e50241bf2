"""What a server knows of itself: slots, memory, measurements. Told to balancers and to Prometheus."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict

from vita_model.engine.voice import VoiceModel
from vita_model.serving.events import Json
from vita_model.serving.memory import Memory, MemoryPlanner
from vita_model.serving.meter import ServerMeter
from vita_model.serving.slots import Slots


class Host:
    """Slots of one model, with everything that bears on them.

    Args:
        model: What the sessions talk with.
        max_sessions: Sessions at once.
        memory: Reads the memory; None when nobody knows.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        model: VoiceModel,
        max_sessions: int,
        memory: Callable[[], Memory | None],
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._begun = clock()
        self._clock = clock
        self.instance = secrets.token_hex(8)
        """Another one after every start."""
        self.planner = MemoryPlanner(memory, lambda: model.stats().session_bytes)
        self.meter = ServerMeter(clock)
        self.slots = Slots(max_sessions, self.planner.has_room, clock)

    @property
    def ready(self) -> bool:
        """Whether sessions are taken as long as there is a slot."""
        return self.slots.closed is None

    def readiness(self) -> Json:
        """For a balancer's health check."""
        slots = self.slots
        return {
            "ready": self.ready,
            "reason": slots.closed,
            "active": slots.active,
            "max": slots.limit,
        }

    def load(self) -> Json:
        """For whoever spreads sessions over servers."""
        slots, stats, memory = self.slots, self._model.stats(), self.planner.now()
        refusal = slots.refusal()
        return {
            **self.readiness(),
            "reason": refusal.reason if refusal is not None else None,
            "free": 0 if refusal is not None else slots.limit - slots.active,
            "draining": slots.closed == "draining",
            "queue": stats.waiting,
            "first_audio_s": self.meter.recent.summary(),
            "memory": None
            if memory is None
            else asdict(memory) | {"per_session": self.planner.per_session},
            "engine": asdict(stats),
            "model": self._model.card.name,
            "instance": self.instance,
            "uptime_s": round(self._clock() - self._begun, 1),
        }

    def exposition(self) -> bytes:
        """For Prometheus."""
        meter, slots, memory = self.meter, self.slots, self.planner.now()
        meter.sessions.set(slots.active)
        meter.slots.set(slots.limit)
        meter.ready.set(self.ready)
        if memory is not None:
            for kind, size in asdict(memory).items():
                meter.memory.labels(kind).set(size)
        meter.memory.labels("per_session").set(self.planner.per_session)
        for figure, value in asdict(self._model.stats()).items():
            meter.engine.labels(figure).set(value)
        return meter.exposition()
