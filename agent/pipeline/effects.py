"""What a message of the model server means for the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.pipeline.history import Event


@dataclass(frozen=True, slots=True)
class Send:
    """Send this event to the server."""

    event: Event


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The caller began to speak, `at_ms` into the call."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class CallerStopped:
    """The caller's turn is over; it ended `at_ms` into the call."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """A turn of the caller is to be answered by `RealtimeDialogue.answer_turn`.

    Attributes:
        item_id: The turn's entry.
        previous_item_id: The entry before it; empty for none.
        end_ms: Where it ended in the call.
    """

    item_id: str
    previous_item_id: str
    end_ms: int


@dataclass(frozen=True, slots=True)
class CallerHeard:
    """The words so far of a turn that began `start_ms` into the call; the last may be half a one."""

    text: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The words of one turn of the caller."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A further piece of what a reply says."""

    item_id: str
    piece: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """A further piece of a reply's speech, in the leg's format."""

    item_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class VolumeWanted:
    """The server weighs a sound of the caller: speak lower meanwhile, or as loud as ever again."""

    low: bool


@dataclass(frozen=True, slots=True)
class ReplySpoken:
    """No more audio of this item will come."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """A response is over: `completed`, `cancelled`, `incomplete` or `failed`."""

    status: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_noise(self) -> bool:
        """Whether the model took the caller's sound as not addressed to it."""
        return self.metadata.get("vita_state") == "noise"


@dataclass(frozen=True, slots=True)
class ToolWanted:
    """The model calls a tool. `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolsOvertaken:
    """A further turn of the caller led to another tool call while these ran."""

    call_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """The server reports an error, or sent something that makes no sense. The session goes on."""

    code: str
    message: str


Effect = (
    Send
    | CallerStarted
    | CallerStopped
    | TurnTaken
    | VolumeWanted
    | CallerHeard
    | CallerSaid
    | ReplyText
    | ReplyAudio
    | ReplySpoken
    | ReplyEnded
    | ToolWanted
    | ToolsOvertaken
    | Problem
)
