"""Watches a session's events and knows what may never happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.serving.talk import check_event

_ENDS = {
    "response.output_audio.delta": "response.output_audio.done",
    "response.output_audio_transcript.delta": "response.output_audio_transcript.done",
    "response.output_text.delta": "response.output_text.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.done",
}


@dataclass
class _Response:
    outside: bool
    open_items: set[str] = field(default_factory=set)
    done_items: set[str] = field(default_factory=set)
    ended_parts: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Witness:
    """Takes every event as it is sent; an assertion fails at the first that is out of place."""

    seen_ids: set[str] = field(default_factory=set)
    open_responses: dict[str, _Response] = field(default_factory=dict)
    ended_responses: set[str] = field(default_factory=set)
    open_items: set[str] = field(default_factory=set)
    kept_items: set[str] = field(default_factory=set)
    speaking: bool = False

    def see(self, event: dict[str, Any]) -> None:
        check_event(event)
        assert event["event_id"] not in self.seen_ids
        self.seen_ids.add(event["event_id"])
        kind: str = event["type"]
        if kind == "response.created":
            self._created(event["response"])
        elif kind == "response.done":
            self._done(event["response"])
        elif kind.startswith("response."):
            self._within(kind, event)
        elif kind == "conversation.item.added":
            assert event["item"]["id"] not in self.kept_items, "two items of one id"
            self.open_items.add(event["item"]["id"])
            self.kept_items.add(event["item"]["id"])
        elif kind == "conversation.item.done":
            assert event["item"]["id"] in self.open_items, "done before it was added"
            self.open_items.discard(event["item"]["id"])
        elif kind == "conversation.item.deleted":
            self.kept_items.discard(event["item_id"])
        elif kind == "input_audio_buffer.speech_started":
            assert not self.speaking
            self.speaking = True
        elif kind in {"input_audio_buffer.speech_stopped"}:
            assert self.speaking
            self.speaking = False
        elif kind in {"input_audio_buffer.cleared", "input_audio_buffer.committed"}:
            self.speaking = False

    def nothing_is_left(self) -> None:
        assert not self.open_responses
        assert not self.open_items

    def _created(self, response: dict[str, Any]) -> None:
        assert response["id"] not in self.ended_responses
        assert response["status"] == "in_progress"
        outside = response["conversation_id"] is None
        if not outside:
            assert all(other.outside for other in self.open_responses.values()), "two at once"
        self.open_responses[response["id"]] = _Response(outside)

    def _done(self, response: dict[str, Any]) -> None:
        found = self.open_responses.pop(response["id"])
        assert not found.open_items, "a response ended before its items"
        assert {item["id"] for item in response["output"]} == found.done_items
        assert response["status"] != "in_progress"
        assert response["usage"] is not None
        self.ended_responses.add(response["id"])

    def _within(self, kind: str, event: dict[str, Any]) -> None:
        response = self.open_responses[event["response_id"]]
        if kind == "response.output_item.added":
            response.open_items.add(event["item"]["id"])
            return
        if kind == "response.output_item.done":
            item_id = event["item"]["id"]
            assert item_id in response.open_items
            response.open_items.discard(item_id)
            response.done_items.add(item_id)
            return
        item_id = event["item_id"]
        assert item_id in response.open_items, "a piece of an item that is not open"
        if kind in _ENDS:
            assert (item_id, _ENDS[kind]) not in response.ended_parts, "a delta after its end"
        response.ended_parts.add((item_id, kind))
