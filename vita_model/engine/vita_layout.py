"""How a conversation lies in the large model's prompt, within its context."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor

from vita_model.engine.job import Prompt
from vita_model.engine.layout import Laid, closing_answers, with_pictures
from vita_model.engine.trimming import TurnSize, cut, never_full
from vita_model.engine.voice import (
    AssistantText,
    Entry,
    Marker,
    Request,
    Seen,
    SystemText,
    ToolCall,
    ToolOutput,
    ToolSpec,
    UserSpeech,
    UserText,
)
from vita_model.processor import NOT_KEPT, ContextError, VitaProcessor
from vita_model.prompt import (
    Media,
    Turn,
    build_prompt,
    plain,
    role_and_text,
    system_text,
    tokenize,
    turn_text,
)
from vita_model.splice import AUDIO, IMAGE

_OPENING = "\n<|im_start|>assistant\n"
"""Stands before every answer."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one utterance or picture.

    Attributes:
        name: Names all of it.
        rows: `[n, width]`.
        settled: So many of them, from the first, have these names in every block of this name; None
            for all.
        ending: Names the others.
    """

    name: Hashable
    rows: Tensor
    settled: int | None = None
    ending: Hashable = None

    def names(self) -> list[Hashable]:
        """A name for each row."""
        count = len(self.rows)
        settled = count if self.settled is None else min(count, self.settled)
        last = (self.name, self.ending)
        return [(self.name if place < settled else last, place) for place in range(count)]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A turn with its blocks, and the words that stand for its sound once that is dropped."""

    turn: Turn
    seen: Block | None = None
    heard: Block | None = None
    words: str = ""
    closes: bool = False

    @property
    def heavy(self) -> bool:
        return self.seen is not None or self.heard is not None

    def light(self) -> _Piece:
        spoken = [self.words or NOT_KEPT] if self.heard is not None else []
        kept = [part for part in self.turn.parts if isinstance(part, str)]
        return _Piece(replace(self.turn, parts=(*kept, *spoken)))


@dataclass(slots=True)
class _Talk:
    pieces: list[_Piece] = field(default_factory=list)
    marker: Marker = "query"
    expects: tuple[Marker, ...] = ("query",)
    silent: bool = False


def tool_objects(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as the prompt shows them."""
    return [
        {"name": t.name, "description": t.description, "parameters": dict(t.parameters)}
        for t in tools
    ]


def head(processor: VitaProcessor, instructions: str, tools: Sequence[ToolSpec]) -> list[Hashable]:
    """The beginning that all prompts of a session without pictures share."""
    text = build_prompt([], persona=instructions, tools=tool_objects(tools))
    return [*_ids(processor, text.removesuffix(_OPENING))]


def lay_out(request: Request, processor: VitaProcessor) -> Laid:
    """The prompt of a request. Of one that is too long the oldest sound and pictures go, then turns.

    Raises:
        ContextError: The last turn alone is too long.
    """
    talk = _talk(request.entries)
    room = processor.config.max_length - request.max_tokens
    kept: Sequence[_Piece] = talk.pieces
    names, image_rows = _names(request, processor, kept)
    if not never_full(len(names), room):
        kept = _kept(request, processor, talk.pieces, room)
        names, image_rows = _names(request, processor, kept)
    if len(names) > room:
        raise ContextError(
            f"The last turn takes {len(names)} positions with its instructions and there is room for"
            f" {room}; shorten the instructions or what is sent."
        )
    blocks = [block for piece in kept for block in (piece.seen, piece.heard) if block is not None]
    rows = {name: row for b in blocks for name, row in zip(b.names(), b.rows.unbind(), strict=True)}
    return Laid(Prompt(names, rows, talk.expects), talk.silent, image_rows)


def _kept(
    request: Request, processor: VitaProcessor, pieces: Sequence[_Piece], room: int
) -> list[_Piece]:
    """What fits. Instructions, and the mark that the answer begins with, are counted first."""
    sight: Literal["image"] | None = "image" if any(piece.seen for piece in pieces) else None
    instructions = system_text(request.instructions, tool_objects(request.tools), sight)
    bounds = turn_text("system", instructions) + _OPENING
    room -= len(_ids(processor, bounds))
    found = cut([_size(processor, piece) for piece in pieces], room)
    words = [piece.light() if piece.heavy else piece for piece in pieces[found.first : found.whole]]
    return [*words, *pieces[max(found.first, found.whole) :]]


def _size(processor: VitaProcessor, piece: _Piece) -> TurnSize:
    def count(piece: _Piece) -> int:
        placeholders = [block for block in (piece.seen, piece.heard) if block is not None]
        more = sum(len(block.rows) - 1 for block in placeholders)
        return len(_ids(processor, "\n" + turn_text(*role_and_text(piece.turn)))) + more

    rows = count(piece)
    words = count(piece.light()) if piece.heavy else rows
    return TurnSize(rows, words, piece.turn.role == "user", piece.closes)


def _talk(entries: Sequence[Entry]) -> _Talk:
    talk = _Talk()
    pairs = with_pictures(entries)
    closing = closing_answers([entry for entry, _ in pairs])
    for (entry, seen), closes in zip(pairs, closing, strict=True):
        talk.pieces.append(replace(_piece(entry, seen, talk), closes=closes))
    return talk


def _piece(entry: Entry, seen: Seen | None, talk: _Talk) -> _Piece:
    """One turn; notes in `talk` how an answer to it may begin."""
    shown = None if seen is None else seen.features
    image = () if shown is None else (Media.IMAGE,)
    match entry:
        case UserSpeech(heard):
            talk.marker, talk.expects = "query", ("query", "noise")
            talk.silent = heard.features is None
            sound: tuple[str | Media, ...] = ("",) if talk.silent else (Media.AUDIO,)
            turn = Turn("user", (*image, *sound))
            return _Piece(turn, shown, heard.features, heard.transcript)
        case UserText(text):
            talk.marker, talk.expects, talk.silent = "typed", ("typed",), False
            return _Piece(Turn("user", (*image, text)), shown)
        case ToolOutput(_, output):
            talk.marker, talk.expects, talk.silent = "query", ("query",), False
            return _Piece(Turn("tool", (output,)))
        case SystemText(text):
            return _Piece(Turn("system", (text,)))
        case AssistantText(text):
            marker, talk.silent = talk.marker, False
            talk.expects = ("query",)
            return _Piece(Turn("assistant", (plain(text),), marker))
        case ToolCall(_, name, arguments):
            marker, talk.expects, talk.silent = talk.marker, ("query",), False
            body = plain(f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}')
            return _Piece(Turn("assistant", (f"<tool_call>\n{body}\n</tool_call>",), marker))
        case _:
            raise TypeError(f"no turn of a conversation: {entry!r}")


def _ids(processor: VitaProcessor, text: str) -> list[int]:
    tokenizer = processor.tokenizer
    return tokenize(text, lambda piece: tokenizer.encode(piece, add_special_tokens=False).ids)


def _names(
    request: Request, processor: VitaProcessor, pieces: Sequence[_Piece]
) -> tuple[list[Hashable], int]:
    """The rows of a prompt by name, and how many of them are pictures'."""
    turns = [piece.turn for piece in pieces]
    prompt = build_prompt(turns, persona=request.instructions, tools=tool_objects(request.tools))
    if turns and turns[-1].role == "assistant":
        prompt += _OPENING
    seen = iter([piece.seen for piece in pieces if piece.seen is not None])
    heard = iter([piece.heard for piece in pieces if piece.heard is not None])
    names: list[Hashable] = []
    image_rows = 0
    for number in _ids(processor, prompt):
        if number == IMAGE:
            rows = next(seen).names()
            image_rows += len(rows)
            names += rows
        elif number == AUDIO:
            names += next(heard).names()
        else:
            names.append(number)
    return names, image_rows
