"""Client events as typed records, server events as JSON objects with all required fields."""

from __future__ import annotations

import json
import math
import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Json = dict[str, Any]
Id = Annotated[str, Field(max_length=256)]


MOST_PARTS = 1_000


class ProtocolError(Exception):
    """The client asked for something that cannot be done. The message tells it what to change."""

    def __init__(self, message: str, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    event_id: Id | None = None


class SessionUpdate(_Event):
    """Partial settings: what is absent stays, what is null is cleared."""

    type: Literal["session.update"]
    session: Json


class AppendAudio(_Event):
    """More of the caller's audio, base64, in the session's input format."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class CommitAudio(_Event):
    """The caller's turn ends here."""

    type: Literal["input_audio_buffer.commit"]


class ClearAudio(_Event):
    """Forget the audio that was not committed."""

    type: Literal["input_audio_buffer.clear"]


class CreateItem(_Event):
    """Add an item; `previous_item_id` absent means at the end, "root" at the front."""

    type: Literal["conversation.item.create"]
    item: Json
    previous_item_id: Id | None = None


class DeleteItem(_Event):
    """Remove an item."""

    type: Literal["conversation.item.delete"]
    item_id: Id


class RetrieveItem(_Event):
    """Ask for an item as the server knows it."""

    type: Literal["conversation.item.retrieve"]
    item_id: Id


class TruncateItem(_Event):
    """The caller heard only the first `audio_end_ms` of an answer."""

    type: Literal["conversation.item.truncate"]
    item_id: Id
    content_index: Annotated[int, Field(ge=0, le=MOST_PARTS)] = 0
    audio_end_ms: Annotated[float, Field(allow_inf_nan=False)]


class CreateResponse(_Event):
    """Answer now."""

    type: Literal["response.create"]
    response: Json | None = None


class CancelResponse(_Event):
    """Stop answering."""

    type: Literal["response.cancel"]
    response_id: Id | None = None


class ClearOutput(_Event):
    """Has a meaning on WebRTC only; accepted and ignored."""

    type: Literal["output_audio_buffer.clear"]


ClientEvent = (
    SessionUpdate
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | CreateItem
    | DeleteItem
    | RetrieveItem
    | TruncateItem
    | CreateResponse
    | CancelResponse
    | ClearOutput
)
_CLIENT_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(
    Annotated[ClientEvent, Field(discriminator="type")]
)


def new_id(prefix: str) -> str:
    """A globally unique id of at most 32 characters."""
    return f"{prefix}_{secrets.token_hex(11)}"


def server_event(kind: str, **fields: Any) -> Json:
    """One server event."""
    return {"type": kind, "event_id": new_id("event"), **fields}


def error_event(error: ProtocolError, client_event_id: str | None) -> Json:
    """The event that tells a client what it did wrong. The session goes on."""
    return server_event(
        "error",
        error={
            "type": "invalid_request_error",
            "code": error.code,
            "message": str(error),
            "param": error.param,
            "event_id": client_event_id,
        },
    )


def parse_client_event(text: str) -> ClientEvent:
    """Read one message of a client.

    Raises:
        ProtocolError: it is not JSON, not a known event, or lacks a field.
    """
    try:
        event = _CLIENT_EVENT.validate_json(text)
    except ValidationError as error:
        raise _explain_event(error) from None
    if not _finite([getattr(event, name, None) for name in ("session", "item", "response")]):
        raise ProtocolError("A number is not finite.", "invalid_json")
    return event


def client_event_id(text: str) -> str | None:
    """The `event_id` of a message that may be faulty."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = message.get("event_id") if isinstance(message, dict) else None
    return found[:256] if isinstance(found, str) else None


def explain(error: ValidationError, prefix: str) -> ProtocolError:
    """The first fault of a settings object as one sentence."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join([prefix, *(str(part) for part in first["loc"])])
    return ProtocolError(f"{path}: {first['msg'][:300]}.", "invalid_value", path[:300])


def _explain_event(error: ValidationError) -> ProtocolError:
    first = error.errors(include_url=False)[0]
    match first["type"]:
        case "json_invalid":
            return ProtocolError("The message is not JSON.", "invalid_json")
        case "model_attributes_type" | "dict_type" | "model_type" if len(first["loc"]) == 0:
            return ProtocolError("The message is not a JSON object.", "invalid_event")
        case "union_tag_not_found":
            return ProtocolError("The event has no type.", "missing_required_parameter", "type")
        case "union_tag_invalid":
            kind = str(first["ctx"]["tag"])[:80]
            return ProtocolError(f"There is no client event {kind!r}.", "unknown_event", "type")
    field = ".".join(str(part) for part in first["loc"][1:])
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_type"
    return ProtocolError(f"{first['loc'][0]}: {field}: {first['msg']}.", code, field)


def _finite(value: object) -> bool:
    """No number in a JSON value is infinite or none at all: it could not be sent back."""
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(_finite(item) for item in value.values())
        case list():
            return all(_finite(item) for item in value)
    return True
