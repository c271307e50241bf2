"""How a conversation lies in the small model's prompt: turns, their pictures, what may answer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from vita_model.engine.chat import Chat
from vita_model.engine.job import Prompt
from vita_model.engine.trimming import TurnSize, cut
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
    UserImage,
    UserSpeech,
    UserText,
)

LONGEST_PROMPT = 3_000
"""Rows of the prompt; beyond it the oldest pictures are left out, then the oldest turns."""
WORDLESS = UserText("What do you see?")
"""Stands for a caller who shows a picture and says nothing."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A conversation ready for the language model.

    Attributes:
        prompt: All rows.
        silent: The last utterance holds no word at all.
        image_rows: How many of the rows are pictures'.
    """

    prompt: Prompt
    silent: bool
    image_rows: int


@dataclass(slots=True)
class _Turn:
    before: list[Hashable]
    shown: list[Hashable] = field(default_factory=list)
    after: list[Hashable] = field(default_factory=list)
    image_rows: int = 0
    opens: bool = False
    closes: bool = False

    @property
    def size(self) -> TurnSize:
        words = len(self.before) + len(self.after)
        return TurnSize(words + len(self.shown), words, self.opens, self.closes)


@dataclass(slots=True)
class _Turns:
    """The turns so far, and how the next answer begins."""

    turns: list[_Turn] = field(default_factory=list)
    marker: int = 0
    expects: tuple[Marker, ...] = ("query",)
    silent: bool = False
    answered: bool = True


def lay_out(request: Request, chat: Chat) -> Laid:
    """The prompt of a request; the oldest pictures and turns are left out of one that is too long."""
    names: list[Hashable] = [*chat.system(system_text(request.instructions, request.tools))]
    laid = _turns(request.entries, chat)
    found = cut([turn.size for turn in laid.turns], LONGEST_PROMPT - len(names))
    rows = 0
    for place, turn in enumerate(laid.turns[found.first :], found.first):
        names += turn.before
        if place >= found.whole:
            names += turn.shown
            rows += turn.image_rows
        names += turn.after
    spoken = [e.heard.features for e in request.entries if isinstance(e, UserSpeech)]
    heard = {name: row for _, rows in spoken for name, row in rows}
    return Laid(Prompt(names, heard, laid.expects), laid.silent, rows)


def system_text(instructions: str, tools: Sequence[ToolSpec]) -> str:
    """The system prompt as it was in training: facts, then one line per tool."""
    lines = [instructions.strip()]
    if tools:
        lines.append("Tools:")
        for tool in tools:
            names = ", ".join(tool.parameters.get("properties", {}))
            lines.append(f"- {tool.name}({names}): {tool.description}")
    return "\n".join(lines)


def with_pictures(entries: Sequence[Entry]) -> list[tuple[Entry, Seen | None]]:
    """Every entry but pictures, and the picture that the caller shows with it.

    A picture goes with the caller's words after it, or else with those before it if they are not
    answered yet. Of several the newest counts. One that no words go with is a turn of its own at
    the end of a conversation, and forgotten before.
    """
    pairs: list[tuple[Entry, Seen | None]] = []
    shown: Seen | None = None
    waiting: int | None = None
    for entry in entries:
        if isinstance(entry, UserImage):
            shown = entry.seen
            continue
        if isinstance(entry, UserSpeech | UserText):
            waiting = len(pairs)
            pairs.append((entry, shown))
            shown = None
            continue
        if not isinstance(entry, SystemText):
            if shown is not None and waiting is not None:
                pairs[waiting] = (pairs[waiting][0], shown)
            shown = waiting = None
        pairs.append((entry, None))
    if shown is not None and waiting is not None:
        pairs[waiting] = (pairs[waiting][0], shown)
    elif shown is not None:
        pairs.append((WORDLESS, shown))
    return pairs


def closing_answers(entries: Sequence[Entry]) -> list[bool]:
    """For each entry, whether it is an answer after which it is for the caller to speak.

    Words before or after a tool call pass the time until its result is known.
    """
    ends = [None, *entries, None]
    return [
        isinstance(entry, AssistantText)
        and not isinstance(before, ToolCall)
        and not isinstance(after, ToolCall)
        for before, entry, after in zip(ends, entries, ends[2:], strict=False)
    ]


def _turns(entries: Sequence[Entry], chat: Chat) -> _Turns:
    laid = _Turns(marker=chat.query)
    pairs = with_pictures(entries)
    closing = closing_answers([entry for entry, _ in pairs])
    for (entry, seen), closes in zip(pairs, closing, strict=True):
        if isinstance(entry, AssistantText | ToolCall):
            if laid.turns:  # the weights know conversations that the caller opens
                names = _said(entry, chat, laid.marker, opened=not laid.answered)
                laid.turns.append(_Turn(names, closes=closes))
                laid.answered = True
            continue
        if isinstance(entry, SystemText):
            laid.turns.append(_Turn([*chat.system(entry.text)]))
            continue
        laid.turns.append(_asked(entry, seen, chat, laid))
        laid.answered = False
    if laid.answered:
        laid.turns.append(_Turn([*chat.assistant_open()]))
        laid.expects, laid.silent = ("query",), False
    return laid


def _asked(entry: Entry, seen: Seen | None, chat: Chat, laid: _Turns) -> _Turn:
    """A turn that wants an answer; notes in `laid` how that may begin."""
    shown: list[Hashable] = [] if seen is None else seen.features
    laid.marker, laid.silent = chat.query, False
    match entry:
        case UserSpeech(heard):
            rows = [name for name, _ in heard.features[1]]
            laid.expects, laid.silent = ("query", "noise"), not rows
        case UserText(text):
            rows = chat.text(text)
            laid.marker, laid.expects = chat.typed, ("typed",)
        case ToolOutput(_, output):
            laid.expects = ("query",)
            return _Turn([*chat.tool_output(output)])
        case _:
            raise TypeError(f"no turn of the caller: {entry!r}")
    image_rows = 0 if seen is None else seen.rows
    return _Turn([*chat.user_open()], shown, [*rows, *chat.user_close()], image_rows, opens=True)


def _said(
    entry: AssistantText | ToolCall, chat: Chat, marker: int, *, opened: bool
) -> list[Hashable]:
    """Rows of an earlier answer; `opened` if the turn before it ends where answers begin."""
    before = [] if opened else chat.assistant_open()
    if isinstance(entry, ToolCall):
        body = chat.raw_call(entry.name, entry.arguments)
    else:
        body = chat.text(entry.text)
    return [*before, marker, *body, chat.end, *chat.newline]
