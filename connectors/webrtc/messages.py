"""What page and server tell each other over the data channel. Pure.

From the page: `alive` every second with the milliseconds its own buffer delays playback by,
`camera` on or off, `typed` words, a `digit`, `bye`. To the page: `alive`, `caption`, `ended`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from agent.api import Caption

Json = dict[str, Any]

EndReason = Literal["you", "agent", "transfer", "failed", "lost"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Alive(_Message):
    """The page is there."""

    type: Literal["alive"]
    playout_ms: Annotated[float, Field(ge=0, le=60_000)] = 0.0


class CameraSwitched(_Message):
    """The camera was turned on or off."""

    type: Literal["camera"]
    on: bool


class Typed(_Message):
    """The caller wrote something."""

    type: Literal["typed"]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Digit(_Message):
    """The caller pressed a key of the keypad."""

    type: Literal["digit"]
    digit: Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]


class Bye(_Message):
    """The caller hangs up."""

    type: Literal["bye"]


PageMessage = Alive | CameraSwitched | Typed | Digit | Bye

_MESSAGES: TypeAdapter[PageMessage] = TypeAdapter(
    Annotated[PageMessage, Field(discriminator="type")]
)


def read_message(raw: Any) -> PageMessage | None:
    """A message of the page; None when it is none of ours."""
    try:
        return _MESSAGES.validate_python(raw)
    except ValidationError:
        return None


def caption_message(caption: Caption) -> Json:
    """Show or replace a turn's words."""
    return {
        "type": "caption",
        "speaker": caption.speaker,
        "turn": caption.turn,
        "text": caption.text,
        "final": caption.final,
    }


def ended_message(reason: EndReason, number: str = "") -> Json:
    """The call is over; `number` is whom to call instead."""
    return {"type": "ended", "reason": reason, "number": number}
