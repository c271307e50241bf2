"""Conversations as the text the language model was trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from vita_model import splice

Marker = Literal["query", "typed", "noise"]

GLYPHS: Mapping[Marker, str] = {"query": "☞", "typed": "☜", "noise": "☟"}
"""First token of every reply: to speech, to typed text, or to noise (nothing is said then)."""

MARKER_TOKENS: Mapping[Marker, int] = {"query": 144766, "typed": 145789, "noise": 146164}
"""Ids of the glyphs in the Qwen2.5 vocabulary."""

END_OF_TURN = 151645
"""Id of the token that ends a turn in the Qwen2.5 vocabulary."""


class Media(Enum):
    """A placeholder for one utterance or for one tile or frame."""

    AUDIO = "<audio>"
    IMAGE = "<image>"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: pieces of text and media. `marker` belongs to turns of the assistant."""

    role: Literal["system", "user", "assistant", "tool"]
    parts: tuple[str | Media, ...]
    marker: Marker | None = None


_PLACEHOLDER = re.compile("(<audio>|<image>)")
_RESERVED = re.compile(r"<(?=\||/?(?:audio|image|video|tools?|tool_call|tool_response)\b)")

_BASE = (
    "You are VITA, an AI assistant that people talk to.\n"
    "- You are an open multimodal language model, and you aim to be helpful, honest and harmless.\n"
    "- You speak the language the user has chosen.\n"
    "- When the user corrects you, say sorry and find the right answer together."
)
_SEEING = {
    "image": "\n- Rely on the picture for what you say about it, never answer without looking, and"
    " remember that it is a still picture and not a video.",
    "video": "\n- Rely on the video for what you say about it, never answer without looking, and"
    " remember that it is a video and not a still picture.",
}
TRANSCRIBE = "Write down word for word what is said here, and nothing else."
"""Asks the model for the caller's words."""

_TOOLS = (
    "\n\n# Tools\n\nThese functions are at your disposal, one signature a line:\n<tools>\n{tools}\n"
    "</tools>\n\nTo call one, write its name and arguments as JSON, like this:\n<tool_call>\n"
    '{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)


def plain(text: str) -> str:
    """Text from outside with every reserved tag broken, so that it stays mere text."""
    return _RESERVED.sub("< ", text)


def tool_call(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as the assistant writes it."""
    body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def system_text(
    persona: str = "",
    tools: Sequence[Mapping[str, Any]] = (),
    sight: Literal["image", "video"] | None = None,
) -> str:
    """The system turn: what the model was trained with, then the business, then the tools.

    Args:
        persona: Instructions of the business.
        tools: Functions as JSON objects with `name`, `description` and `parameters`.
        sight: What the conversation shows, if anything.
    """
    text = _BASE + (_SEEING[sight] if sight else "")
    if persona:
        text += "\n\n" + plain(persona)
    if tools:
        lines = (
            plain(json.dumps({"type": "function", "function": tool}, ensure_ascii=False))
            for tool in tools
        )
        text += _TOOLS.format(tools="\n".join(lines))
    return text


def _user(parts: Sequence[str | Media]) -> str:
    """Pictures come first; a line break parts them from what is asked."""
    pictures = [part for part in parts if part is Media.IMAGE]
    rest = [part for part in parts if part is not Media.IMAGE]
    asked = "".join(part.value if isinstance(part, Media) else plain(part) for part in rest)
    return Media.IMAGE.value * len(pictures) + ("\n" if pictures and asked else "") + asked


def role_and_text(turn: Turn) -> tuple[str, str]:
    """Role and text of a turn as ChatML knows them, with placeholders for media."""
    words = "".join(part for part in turn.parts if isinstance(part, str))
    if turn.role == "user":
        return "user", _user(turn.parts)
    if len(turn.parts) and not all(isinstance(part, str) for part in turn.parts):
        raise ValueError(f"a {turn.role} turn cannot carry pictures or sound")
    if turn.role == "tool":
        return "user", f"<tool_response>\n{plain(words)}\n</tool_response>"
    if turn.role == "system":
        return "system", plain(words)
    return "assistant", (GLYPHS[turn.marker] if turn.marker else "") + words


def turn_text(role: str, said: str) -> str:
    """One turn between its marks; a line break parts turns."""
    return f"<|im_start|>{role}\n{said}<|im_end|>"


def build_prompt(
    turns: Sequence[Turn],
    *,
    persona: str = "",
    tools: Sequence[Mapping[str, Any]] = (),
    video: bool = False,
) -> str:
    """The whole conversation in ChatML with placeholders for media.

    A conversation that ends with the assistant is complete (for training); any other ends where
    the assistant begins to write.

    Args:
        turns: The conversation without its system turn.
        persona: See `system_text`.
        tools: See `system_text`.
        video: The images shown are frames of a video.
    """
    seen = any(Media.IMAGE in turn.parts for turn in turns)
    sight: Literal["image", "video"] | None = ("video" if video else "image") if seen else None
    blocks = [("system", system_text(persona, tools, sight)), *map(role_and_text, turns)]
    text = "\n".join(turn_text(role, said) for role, said in blocks)
    if turns and turns[-1].role == "assistant":
        return text
    return text + "\n<|im_start|>assistant\n"


def tokenize(prompt: str, encode: Callable[[str], Sequence[int]]) -> list[int]:
    """Token ids of a prompt, with `splice.IMAGE` and `splice.AUDIO` for the placeholders.

    Args:
        prompt: From `build_prompt`.
        encode: The tokenizer, which must add no token of its own; called once per text piece.
    """
    ids: list[int] = []
    for piece in _PLACEHOLDER.split(prompt):
        if piece == Media.AUDIO.value:
            ids.append(splice.AUDIO)
        elif piece == Media.IMAGE.value:
            ids.append(splice.IMAGE)
        elif piece:
            ids.extend(encode(piece))
    return ids


def split_marker(reply: str) -> tuple[Marker | None, str]:
    """The marker a reply begins with, and the reply without it and the space that may follow."""
    for marker, glyph in GLYPHS.items():
        if reply.startswith(glyph):
            return marker, reply.removeprefix(glyph).removeprefix(" ")
    return None, reply
