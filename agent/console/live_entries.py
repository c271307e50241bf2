"""A running call's events as entries of its transcript. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent.console.markup import Markup
from agent.console.moments import moment
from agent.console.transcript import Entry, hearing, shown, spoken, used
from agent.supervisor.views import LiveEvent, StillView, ToolCallView, UtteranceView


@dataclass(frozen=True, slots=True)
class Change:
    """An entry is there now, or looks different; without content it is gone."""

    key: str
    content: Markup | None


class LiveEntries:
    """Takes the events of one call in their order and tells what changes in its transcript.

    Attributes:
        latency_ms: Time to the newest answer, None before the first.
        over: Whether the call has ended.
    """

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._tools: dict[str, ToolCallView] = {}
        self._stills = 0
        self._answered: datetime | None = None
        self._waited: int | None = None
        self.latency_ms: int | None = None
        self.over = False

    def take(self, event: LiveEvent) -> list[Change]:
        """What one event changes."""
        payload = event.payload
        match event.kind:
            case "caption":
                return self._caption(payload)
            case "utterance":
                return self._utterance(event)
            case "tool_intent":
                return [self._tool(event)]
            case "tool_result":
                return self._result(payload)
            case "still":
                return [self._still(payload)]
            case "turn":
                self.latency_ms = self._waited = int(payload["latency_ms"])
            case "call_state":
                self._state(event)
        entry = moment(event.kind, payload, self._ms(event), event.seq)
        return [_change(entry)] if entry is not None else []

    def _state(self, event: LiveEvent) -> None:
        state = event.payload.get("state")
        self.over = state == "ended"
        if state == "connected" and self._answered is None:
            self._answered = event.at

    def _caption(self, payload: Mapping[str, Any]) -> list[Change]:
        role, text = str(payload.get("role", "caller")), str(payload.get("pii_text", ""))
        key = f"caption-{role}"
        if payload.get("final") and not text.strip():
            return [Change(key, None)]
        return [Change(key, hearing(role, text, key))]

    def _utterance(self, event: LiveEvent) -> list[Change]:
        payload = event.payload
        role = str(payload["role"])
        line = UtteranceView(
            seq=event.seq,
            role=role,
            text=str(payload["pii_text"]),
            heard=payload.get("pii_heard"),
            start_ms=int(payload["start_ms"]),
            end_ms=int(payload["end_ms"]),
            interrupted=bool(payload.get("interrupted", False)),
            at=event.at,
        )
        waited = None
        if role == "agent":
            waited, self._waited = self._waited, None
        return [Change(f"caption-{role}", None), _change(spoken(line, waited, playable=False))]

    def _tool(self, event: LiveEvent) -> Change:
        payload = event.payload
        tool = ToolCallView(
            seq=event.seq,
            tool=str(payload["tool"]),
            status="started",
            arguments=_text(payload.get("pii_arguments", "")),
            result=None,
            started_at=event.at,
            at_ms=self._ms(event),
            duration_ms=None,
        )
        self._tools[str(payload["tool_call_id"])] = tool
        return _change(used(tool))

    def _result(self, payload: Mapping[str, Any]) -> list[Change]:
        begun = self._tools.get(str(payload["tool_call_id"]))
        if begun is None:
            return []
        done = replace(
            begun,
            status=str(payload["status"]),
            result=_text(payload.get("pii_result", "")),
            duration_ms=int(payload["duration_ms"]),
        )
        return [_change(used(done))]

    def _still(self, payload: Mapping[str, Any]) -> Change:
        still = StillView(
            number=self._stills,
            at_ms=int(payload.get("at_ms", 0)),
            sha256=str(payload.get("sha256", "")),
            bytes=int(payload.get("bytes", 0)),
            width=int(payload.get("width", 0)),
            height=int(payload.get("height", 0)),
        )
        self._stills += 1
        return _change(shown(still, self._call_id))

    def _ms(self, event: LiveEvent) -> int:
        if self._answered is None:
            return 0
        return max(int((event.at - self._answered).total_seconds() * 1000), 0)


def _change(entry: Entry) -> Change:
    return Change(entry.key, entry.content)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
