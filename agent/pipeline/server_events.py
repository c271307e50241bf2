"""What is read out of a Realtime server's events. Fields that are absent or of another type are empty."""

from __future__ import annotations

import json
import uuid
from typing import Any

from agent.pipeline.history import Event


def parse_event(message: str | bytes) -> Event | None:
    """A server's message as an event; None when it is no JSON object."""
    try:
        event = json.loads(message)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def server_answers(session: Event) -> bool:
    """Whether the server answers every turn by itself, which is its habit."""
    try:
        return session["audio"]["input"]["turn_detection"]["create_response"] is not False
    except (KeyError, TypeError):
        return True


def new_id() -> str:
    """A new id of an entry."""
    return f"item_{uuid.uuid4().hex[:24]}"


def text_of(event: Event, key: str) -> str:
    """A field that is a string, else an empty one."""
    value = event.get(key)
    return value if isinstance(value, str) else ""


def number_of(event: Event, key: str) -> int:
    """A field that is a number, without its fraction, else 0."""
    value = event.get(key)
    return int(value) if isinstance(value, int | float) else 0


def metadata_of(event: Event) -> dict[str, Any]:
    """The metadata of the response that an event tells of."""
    response = event.get("response")
    metadata = response.get("metadata") if isinstance(response, dict) else None
    return metadata if isinstance(metadata, dict) else {}
