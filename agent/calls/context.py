"""What one call carries with it: its line, its journal, its tools, its intents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agent.api import Direction
from agent.calls.line import Line
from agent.calls.memory import CallMemory, Entry, UnsharedMemory


class Journal(Protocol):
    """Append-only record of one call. Never waits for the database; safe to call anywhere."""

    def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:
        """Append an event and return its sequence number.

        Args:
            kind: One of `agent.transcripts.events.KINDS`, such as `utterance` or `tool_result`.
            payload: JSON-ready values; personal data under keys starting with `pii_`.
            durable: Flush to disk before returning (tool intents and results).
        """
        ...

    def show(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Show something to who follows the call live; it is not kept.

        Args:
            kind: One of `agent.transcripts.events.LIVE_KINDS`.
            payload: As in `record`.
        """
        ...


class Journals(Protocol):
    """Opens the journal of a call for one writer."""

    def __call__(self, call_id: str, epoch: int) -> Journal:
        """A journal whose events come after those of every writer with a lower epoch."""
        ...


class ToolBox(Protocol):
    """The tools this call may use."""

    def specs(self) -> list[dict[str, Any]]:
        """Tool definitions in the Realtime protocol's form (`type`, `name`, `parameters`…)."""
        ...

    def may_cancel(self, name: str) -> bool:
        """Whether a run of this tool may be broken off: it changes nothing."""
        ...

    async def run(self, name: str, arguments: str, tool_call_id: str) -> str:
        """Run a tool and return its answer as JSON text.

        Never raises: a bad name, bad arguments, a time-out or a crash become an `{"error": …}`
        answer the model can speak about. Intent and result are journalled. When `run` is
        cancelled, a tool that changes something goes on to its end all the same.
        """
        ...


class ModelChoice(Protocol):
    """Which model server a call talks with. None of its methods fails when Redis is away."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Realtime endpoints of all servers."""
        ...

    async def pick(self) -> str | None:
        """The server to try next; None when all have been tried, and it begins anew."""
        ...

    async def failed(self, url: str, *, reached: bool) -> None:
        """A server has refused the call or was lost; `reached`: it answers at all."""
        ...

    async def connected(self, url: str) -> None:
        """The call talks with this server; its place is kept by `renew`."""
        ...

    async def renew(self) -> None:
        """Keep the call's place for another while."""
        ...

    async def leave(self) -> None:
        """The call needs no server any more."""
        ...


@dataclass(slots=True)
class CallIntents:
    """What tools asked to happen once the agent has finished speaking."""

    hang_up: bool = False
    last_words: str = ""
    transfer_to: str = ""
    do_not_call: bool = False
    reason: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def ask_hang_up(self, reason: str, *, last_words: str = "") -> None:
        """End the call after the current reply and `last_words` were heard."""
        self.hang_up = True
        self.last_words = last_words
        self.reason = reason
        self.changed.set()

    def ask_do_not_call(self) -> None:
        """Put the other side's number on the do-not-call list."""
        self.do_not_call = True
        self.changed.set()

    def ask_transfer(self, target: str, reason: str) -> None:
        """Hand the caller over after the current reply was heard."""
        self.transfer_to = target
        self.reason = reason
        self.changed.set()


@dataclass(frozen=True, slots=True)
class CallContext:
    """Everything the pipeline of one call needs, and nothing else."""

    call_id: str
    line: Line
    direction: Direction
    caller_number: str
    journal: Journal
    tools: ToolBox
    intents: CallIntents
    recording_path: Path | None
    """Where the stereo recording goes; None when the line does not record."""
    stills_path: Path | None = None
    """Folder of the pictures the model was shown; None when the line does not keep them."""
    dialled: str = ""
    """Why the person dialled a moment ago did not take the caller, such as `busy`; else empty."""
    earlier: tuple[Entry, ...] = ()
    """What was said on the call's earlier media streams, oldest first."""
    memory: CallMemory = field(default_factory=UnsharedMemory)
    """Where the conversation is kept for the next worker."""
    model: ModelChoice | None = None
    """Which model server the call talks with; the only one there is when absent."""

    @property
    def resumed(self) -> bool:
        """Whether the caller has heard the agent before and only comes back to it."""
        return any(entry.kind == "agent" for entry in self.earlier)
