"""The items of a conversation: as a client sees them, and as the model is given them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from vita_model.engine.voice import (
    AssistantText,
    Entry,
    Heard,
    Seen,
    SystemText,
    ToolCall,
    ToolOutput,
    UserImage,
    UserSpeech,
    UserText,
)
from vita_model.serving.events import Json

Role = Literal["user", "assistant", "system"]
Status = Literal["in_progress", "completed", "incomplete"]


@dataclass(slots=True)
class TextPart:
    """Typed words."""

    kind: Literal["input_text", "output_text"]
    text: str

    def public(self) -> Json:
        """The part on the wire."""
        return {"type": self.kind, "text": self.text}


@dataclass(slots=True)
class ImagePart:
    """A picture. It is never sent back: clients limit the size of a message.

    `seen` is None until the model has looked at it.
    """

    detail: str = "auto"
    seen: Seen | None = None
    failed: bool = False

    @property
    def pending(self) -> bool:
        """The model has not looked at it yet."""
        return self.seen is None and not self.failed

    def public(self) -> Json:
        """The part on the wire, without the picture."""
        return {"type": "input_image", "detail": self.detail}


@dataclass(slots=True)
class SpeechPart:
    """What the caller said aloud. `heard` is None until the model has listened."""

    heard: Heard | None = None
    failed: bool = False

    @property
    def pending(self) -> bool:
        """The model has not listened to it yet."""
        return self.heard is None and not self.failed

    def public(self) -> Json:
        """The part on the wire."""
        transcript = None if self.heard is None else self.heard.transcript
        return {"type": "input_audio", "transcript": transcript}


@dataclass(slots=True)
class SilencePart:
    """So many seconds in which the caller said nothing, though the agent had done speaking."""

    seconds: float

    def public(self) -> Json:
        """The part on the wire: audio without words."""
        return {"type": "input_audio", "transcript": ""}

    def words(self) -> str:
        """What the model is told instead of the silence, which it would take for noise."""
        return (
            f"The caller has said nothing for {self.seconds:.0f} seconds. "
            "Ask whether they are still there."
        )


@dataclass(slots=True)
class SpokenPart:
    """What the agent said aloud, aligned with its text.

    Attributes:
        transcript: The words that were sent.
        track: Pairs (end in ms, characters spoken until then), both rising.
    """

    transcript: str = ""
    track: list[tuple[float, int]] = field(default_factory=list)

    @property
    def duration_ms(self) -> float:
        """Length of the audio that was sent."""
        return self.track[-1][0] if self.track else 0.0

    def spoken_characters(self, text: str, at_ms: float) -> int:
        """How much of `text` is said at a moment of the audio, in whole words."""
        start_ms, start = 0.0, 0
        for end_ms, end in self.track:
            if at_ms >= end_ms:
                start_ms, start = end_ms, end
                continue
            share = (at_ms - start_ms) / (end_ms - start_ms)
            reached = min(start + int(share * (end - start)), len(text))
            return max(start, _whole_words(text, reached))
        return min(start, len(text))

    def truncate(self, at_ms: float) -> None:
        """Forget the words and the audio after a moment."""
        self.transcript = self.transcript[: self.spoken_characters(self.transcript, at_ms)].rstrip()
        kept = [(end_ms, end) for end_ms, end in self.track if end_ms <= at_ms]
        if at_ms < self.duration_ms:
            kept.append((at_ms, len(self.transcript)))
        self.track = kept

    def public(self) -> Json:
        """The part on the wire, without audio."""
        return {"type": "output_audio", "transcript": self.transcript}


def _whole_words(text: str, length: int) -> int:
    if length >= len(text) or (length and text[length].isspace()):
        return length
    gap = re.search(r"\s+\S*$", text[:length])
    return gap.start() if gap else 0


Part = TextPart | ImagePart | SpeechPart | SilencePart | SpokenPart


@dataclass(slots=True)
class Message:
    """Something said, typed or shown. `in_model` is False for what the model must not see."""

    id: str
    role: Role
    parts: list[Part]
    status: Status = "completed"
    in_model: bool = True

    def public(self) -> Json:
        """The item on the wire."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [part.public() for part in self.parts],
        }

    @property
    def pending(self) -> bool:
        """Some of it is still to be heard or seen."""
        return any(isinstance(p, SpeechPart | ImagePart) and p.pending for p in self.parts)

    def entries(self) -> Iterator[Entry]:
        """The item for the model: pictures first, whatever the client's order, then the words."""
        parts = self.parts if self.in_model else []
        for part in sorted(parts, key=lambda part: not isinstance(part, ImagePart)):
            match part:
                case TextPart(text=text) | SpokenPart(transcript=text) if text.strip():
                    yield self._words(text)
                case SpeechPart(heard=Heard() as heard):
                    yield UserSpeech(heard)
                case SilencePart():
                    yield SystemText(part.words())
                case ImagePart(seen=Seen() as seen):
                    yield UserImage(seen)

    def _words(self, text: str) -> Entry:
        match self.role:
            case "user":
                return UserText(text)
            case "assistant":
                return AssistantText(text)
            case "system":
                return SystemText(text)


@dataclass(slots=True)
class FunctionCall:
    """A tool call of the agent. `arguments` is a JSON string."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"

    def public(self) -> Json:
        """The item on the wire."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "function_call",
            "status": self.status,
            "name": self.name,
            "call_id": self.call_id,
            "arguments": self.arguments,
        }

    def entries(self) -> Iterator[Entry]:
        """The item for the model."""
        yield ToolCall(self.call_id, self.name, self.arguments)


@dataclass(slots=True)
class FunctionOutput:
    """The answer to a tool call."""

    id: str
    call_id: str
    output: str

    def public(self) -> Json:
        """The item on the wire."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "function_call_output",
            "status": "completed",
            "call_id": self.call_id,
            "output": self.output,
        }

    def entries(self) -> Iterator[Entry]:
        """The item for the model."""
        yield ToolOutput(self.call_id, self.output)


Item = Message | FunctionCall | FunctionOutput
