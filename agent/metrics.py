"""What the agent counts and measures, for Prometheus.

Most of it follows from the events of calls: `CallMeter` watches a call's journal. The rest is
counted where it happens. No label holds a call, a number or a person.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

REGISTRY: Final = CollectorRegistry()
GCCollector(registry=REGISTRY)
ProcessCollector(registry=REGISTRY)

_LATENCY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_TOOL = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 20.0)
_WEBHOOK = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0)
_LAG = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 1.0)

# Calls

CALLS_ADMITTED = Counter(
    "va_calls_admitted", "Calls that were accepted.", ["carrier", "direction"], registry=REGISTRY
)
CALLS_REFUSED = Counter(
    "va_calls_refused",
    "Calls that were not accepted, by error code.",
    ["reason"],
    registry=REGISTRY,
)
CALLS_ENDED = Counter(
    "va_calls_ended",
    "Calls that ended, by outcome; one that is taken up again ends twice.",
    ["outcome"],
    registry=REGISTRY,
)
CALLS_LIVE = Gauge("va_calls_live", "Calls in progress or about to begin.", registry=REGISTRY)
CALLS_CAPACITY = Gauge("va_calls_capacity", "Calls this process may have.", registry=REGISTRY)

# What callers notice

FIRST_AUDIO = Histogram(
    "va_first_audio_seconds",
    "From the opening of the media stream to the agent's first sound.",
    buckets=_LATENCY,
    registry=REGISTRY,
)
TURN_LATENCY = Histogram(
    "va_turn_latency_seconds",
    "From the caller's last sound to the first sound of the answer.",
    buckets=_LATENCY,
    registry=REGISTRY,
)
FRAME_LAG = Histogram(
    "va_frame_lag_seconds",
    "How much later than due a piece of reply audio was sent.",
    buckets=_LAG,
    registry=REGISTRY,
)
INTERRUPTIONS = Counter("va_interruptions", "Replies that callers cut short.", registry=REGISTRY)
NOISES = Counter("va_noises", "Sounds the model took for noise.", registry=REGISTRY)
FAULTS = Counter("va_call_faults", "Faults in calls, by error code.", ["code"], registry=REGISTRY)
MODEL_LINK = Counter(
    "va_model_link_events",
    "Changes of calls' connections to the model server.",
    ["state"],
    registry=REGISTRY,
)

# Tools and carrier

TOOL_SECONDS = Histogram(
    "va_tool_seconds",
    "How long tools took, by tool and by how they ended.",
    ["tool", "status"],
    buckets=_TOOL,
    registry=REGISTRY,
)
WEBHOOK_SECONDS = Histogram(
    "va_webhook_seconds",
    "Time to answer a carrier's webhook.",
    ["webhook"],
    buckets=_WEBHOOK,
    registry=REGISTRY,
)
WEBHOOKS_REJECTED = Counter(
    "va_webhooks_rejected",
    "Webhooks and media streams that were turned away.",
    ["reason"],
    registry=REGISTRY,
)

# Stores and process

SPOOL_EVENTS = Gauge(
    "va_spool_events", "Call events that wait for the database.", registry=REGISTRY
)
SPOOL_OLDEST = Gauge(
    "va_spool_oldest_seconds", "Age of the oldest event that waits.", registry=REGISTRY
)
SPOOL_REJECTED = Gauge(
    "va_spool_rejected_events", "Call events the database refused.", registry=REGISTRY
)
DATABASE_UP = Gauge(
    "va_database_up", "1 when the last write to the call log worked.", registry=REGISTRY
)
LIVE_DROPPED = Gauge(
    "va_live_events_dropped", "Events the live view has missed.", registry=REGISTRY
)
MODEL_UP = Gauge("va_model_up", "1 when a model server takes sessions.", registry=REGISTRY)
MODEL_SERVERS = Gauge("va_model_servers_up", "Model servers that take sessions.", registry=REGISTRY)
READY = Gauge("va_ready", "1 when new calls are taken.", registry=REGISTRY)
LINES = Gauge("va_lines", "Lines that count.", registry=REGISTRY)
LOOP_LAG = Gauge("va_event_loop_lag_seconds", "Delay of the event loop.", registry=REGISTRY)

# How a call ends by itself, and what a carrier says of one that nobody served.
_OUTCOMES = frozenset({"caller_hung_up", "agent_ended", "transferred", "failed", "worker_stopped"})
_OUTCOMES |= {"after_hours", "completed", "busy", "no-answer", "canceled"}


class CallMeter:
    """Turns the events of one call, as one writer records them, into measurements."""

    def __init__(self) -> None:
        self._spoken = False

    def saw(self, kind: str, payload: Mapping[str, Any]) -> None:
        """An event was recorded."""
        match kind:
            case "call_admitted":
                CALLS_ADMITTED.labels(payload["carrier"], payload["direction"]).inc()
            case "call_state" if payload["state"] == "ended":
                reason = payload["reason"]
                CALLS_ENDED.labels(reason if reason in _OUTCOMES else "other").inc()
            case "utterance" if payload["role"] == "agent" and not self._spoken:
                self._spoken = True
                FIRST_AUDIO.observe(payload["start_ms"] / 1000)
            case "turn":
                TURN_LATENCY.observe(payload["latency_ms"] / 1000)
            case "tool_result":
                seconds, status = payload["duration_ms"] / 1000, payload["status"]
                # A refused name may be one that the model made up.
                tool = "none" if status == "refused" else payload["tool"]
                TOOL_SECONDS.labels(tool, status).observe(seconds)
            case "interruption":
                INTERRUPTIONS.inc()
            case "noise":
                NOISES.inc()
            case "model_link":
                MODEL_LINK.labels(payload["state"]).inc()
            case "fault":
                FAULTS.labels(payload["code"]).inc()


@contextmanager
def webhook_timed(webhook: str) -> Iterator[None]:
    """Measures the answering of one webhook."""
    started = time.perf_counter()
    try:
        yield
    finally:
        WEBHOOK_SECONDS.labels(webhook).observe(time.perf_counter() - started)


def exposition() -> bytes:
    """All measurements, in Prometheus' text format."""
    return generate_latest(REGISTRY)
