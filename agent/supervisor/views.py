"""What the service layer hands out: plain values, with personal data masked unless asked otherwise.

Times named `_ms` count from the start of the call's media leg, unless they are durations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

Side = Literal["caller", "agent"]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a longer list. `next` continues it; None at its end."""

    items: Sequence[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; what is empty or None does not filter.

    Attributes:
        line: Entry of a line: its number, or `web:NAME`.
        state: `admitted`, `connected`, `in_progress`, `transferring` or `ended`.
        outcome: Why the call ended, such as `caller_hung_up`.
        since: Started at or after.
        until: Started before.
        tool: A tool of this name was used.
        flagged: Whether a note flags the call.
        text: Words that were said, as in search.
        caller: The caller's number, E.164, exactly; needs the permission `reveal`.
    """

    line: str = ""
    state: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None
    tool: str = ""
    flagged: bool | None = None
    text: str = ""
    caller: str = ""


@dataclass(frozen=True, slots=True)
class CallSummary:
    """One call in a list.

    Attributes:
        line: Entry of its line: a number, or `web:NAME`.
        caller: Number of the other side, masked; empty when withheld.
        outcome: Why it ended; empty while it runs.
        duration_ms: From answer to end; None while it runs or when nobody answered.
        tools: Names of the tools it used, each once.
        score: Mean total of its reviews, 0 to 100.
    """

    id: str
    line: str
    business: str
    direction: str
    caller: str
    state: str
    outcome: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    tools: Sequence[str]
    flagged: bool
    score: float | None


@dataclass(frozen=True, slots=True)
class UtteranceView:
    """One stretch of speech. `heard` is the part of a reply that was played, when it was cut."""

    seq: int
    role: str
    text: str
    heard: str | None
    start_ms: int
    end_ms: int
    interrupted: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class ToolCallView:
    """One use of a tool. `arguments` and `result` are JSON text; no result while it runs."""

    seq: int
    tool: str
    status: str
    arguments: str
    result: str | None
    started_at: datetime
    at_ms: int
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class TurnView:
    """One answered turn: from the caller's last sound to the first byte of the reply."""

    seq: int
    at_ms: int
    latency_ms: int


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the call's journal, as `agent.transcripts.events` describes it."""

    seq: int
    kind: str
    at: datetime
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordingView:
    """One recording: WAV, caller left, agent right. `number` counts those of a call from 0."""

    number: int
    sha256: str
    bytes: int
    duration_ms: int
    at: datetime


@dataclass(frozen=True, slots=True)
class StillView:
    """One camera picture that the model was shown. `number` counts those of a call from 0."""

    number: int
    at_ms: int
    sha256: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CallDetails:
    """One call with all that happened in it, each list in the order it happened."""

    summary: CallSummary
    utterances: Sequence[UtteranceView]
    tools: Sequence[ToolCallView]
    turns: Sequence[TurnView]
    recordings: Sequence[RecordingView]
    stills: Sequence[StillView]
    revealed: bool


@dataclass(frozen=True, slots=True)
class SnippetPart:
    """A piece of a snippet; `hit` when it is one of the words that were looked for."""

    text: str
    hit: bool


@dataclass(frozen=True, slots=True)
class SearchHit:
    """An utterance with the words that were looked for, and the call it is from."""

    call_id: str
    seq: int
    role: str
    start_ms: int
    at: datetime
    line: str
    business: str
    snippet: Sequence[SnippetPart]


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that runs now. `last_text` is the newest thing said, masked."""

    call_id: str
    line: str
    business: str
    direction: str
    caller: str
    state: str
    started_at: datetime
    last_role: str
    last_text: str
    latency_ms: int | None


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event of a running call. `position` continues a reading after it.

    Kinds are those of the journal, and `caption`, which exists only here: words as they are heard,
    `{"role", "item_id", "pii_text", "final"}`, each with the whole text of its item so far.
    """

    position: str
    seq: int
    kind: str
    at: datetime
    payload: Mapping[str, Any]
