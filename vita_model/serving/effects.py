"""What a dialogue wants done. It does nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import Request, Samples, ToolSpec
from vita_model.serving.events import Json, server_event


@dataclass(frozen=True, slots=True)
class Send:
    """Send one event to the client, in this order."""

    event: Json


@dataclass(frozen=True, slots=True)
class Hear:
    """Let the model listen; answer with `Dialogue.heard` or `Dialogue.hearing_failed`."""

    hearing_id: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class HearPartly:
    """Let the model listen to an utterance that goes on; answer with `Dialogue.heard_partly`.

    Attributes:
        pass_id: Names this pass; `CancelHearing` names it too.
        samples: The utterance so far.
        request: What its answer will depend on, without this utterance.
    """

    pass_id: str
    samples: Samples
    request: Request


@dataclass(frozen=True, slots=True)
class HearUpload:
    """Like `Hear`, for audio that is still in the wire format."""

    hearing_id: str
    data: bytes
    wire: WireFormat


@dataclass(frozen=True, slots=True)
class CancelHearing:
    """Nobody waits for this hearing any more."""

    hearing_id: str


@dataclass(frozen=True, slots=True)
class See:
    """Let the model look at a picture; answer with `Dialogue.seen` or `Dialogue.seeing_failed`."""

    seeing_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StartReply:
    """Let the model answer; pass its events to `Dialogue.replied`."""

    reply_id: str
    request: Request


@dataclass(frozen=True, slots=True)
class StartSaying:
    """Let the model speak a given text; pass its events to `Dialogue.replied`."""

    reply_id: str
    text: str
    voice: str


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Stop computing this answer."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """The prompt of the session has changed: compute it ahead of the first turn."""

    instructions: str
    tools: Sequence[ToolSpec]


@dataclass(frozen=True, slots=True)
class LookAhead:
    """The conversation is longer, and it is for the caller to speak: compute what can be.

    Attributes:
        request: What the next answer will depend on, without what the caller says next.
    """

    request: Request


Effect = (
    Send
    | Hear
    | HearPartly
    | HearUpload
    | CancelHearing
    | See
    | StartReply
    | StartSaying
    | CancelReply
    | Prepare
    | LookAhead
)


def send(kind: str, **fields: object) -> Effect:
    """Send one server event."""
    return Send(server_event(kind, **fields))


def sends(events: Sequence[Json]) -> list[Effect]:
    """One effect for each event."""
    return [Send(event) for event in events]


def item_added(item: Json, previous: str | None) -> list[Effect]:
    """Tell of an item that is complete when it is added."""
    kinds = ("conversation.item.added", "conversation.item.done")
    return [send(kind, previous_item_id=previous, item=item) for kind in kinds]
