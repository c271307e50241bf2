"""Follows a call in the call log and tells, line by line, what happens in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.calls.repository import CallRepository

POLL_S = 0.25

Speaker = Literal["caller", "agent", "tool", "note"]


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened. `at_ms` counts from the start of the call where it is known."""

    who: Speaker
    text: str
    at_ms: int | None = None
    latency_ms: int | None = None


_PLAIN: Mapping[str, Callable[[Mapping[str, Any]], Told]] = {
    "tool_intent": lambda event: Told(
        "tool", f"{event['tool']}({_arguments(event['pii_arguments'])})"
    ),
    "tool_result": lambda event: Told("tool", f"{event['status']}: {event['pii_result']}"),
    "noise": lambda event: Told("note", "not addressed to the agent", event["at_ms"]),
    "interruption": lambda event: Told("note", "the caller interrupts", event["at_ms"]),
    "transfer": lambda event: Told("note", f"handed over to {event['target']}"),
    "fault": lambda event: Told("note", f"{event['code']}: {event['message']}"),
}


class Teller:
    """Puts journal events into words. An answer's latency is told with the answer."""

    def __init__(self) -> None:
        self._latency_ms: int | None = None

    def tell(self, kind: str, payload: Mapping[str, Any]) -> Told | None:
        """What to say about an event; None when it says nothing to a person."""
        if kind in _PLAIN:
            return _PLAIN[kind](payload)
        if kind == "turn":
            self._latency_ms = payload["latency_ms"]
        elif kind == "utterance":
            return self._utterance(payload)
        elif kind == "model_link" and payload["state"] != "connected":
            return Told("note", f"model server {payload['state']}")
        elif kind == "call_state" and payload["state"] == "ended":
            return Told("note", f"call over: {payload['reason'].replace('_', ' ')}")
        return None

    def _utterance(self, payload: Mapping[str, Any]) -> Told:
        latency_ms = None
        if payload["role"] == "agent":
            latency_ms, self._latency_ms = self._latency_ms, None
        text = payload["pii_text"]
        if payload.get("interrupted"):
            text = f"{payload.get('pii_heard') or ''} – (cut off)"
        return Told(payload["role"], text, payload["start_ms"], latency_ms)


async def follow(calls: CallRepository, call_id: str, show: Callable[[Told], None]) -> None:
    """Show a call as it goes on in the log, until it has ended there."""
    teller, seen = Teller(), set[int]()
    while True:
        record = await calls.get_call(call_id)
        for event in record.events if record else ():
            if event.seq in seen:
                continue
            seen.add(event.seq)
            told = teller.tell(event.kind, event.payload)
            if told is not None:
                show(told)
        if record is not None and record.call.state == "ended":
            return
        await asyncio.sleep(POLL_S)


def _arguments(text: str) -> str:
    """`48213, Tuesday` for a call's JSON arguments."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        return text
    return ", ".join(map(str, given.values())) if isinstance(given, dict) else text
