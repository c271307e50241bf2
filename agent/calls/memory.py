"""What was said in a call, kept where the next worker finds it when this one dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

EntryKind = Literal["caller", "agent", "call", "output"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished entry of a conversation.

    Attributes:
        item_id: Its id at the model server.
        kind: A turn of the caller, a reply of the agent, a tool's call, or the tool's answer.
        text: What was said or typed, a reply as far as it was heard, a call's arguments, or a
            tool's answer.
        call_id: Id of the tool call, for `call` and `output`.
        name: Name of the tool, for `call`.
    """

    item_id: str
    kind: EntryKind
    text: str
    call_id: str = ""
    name: str = ""


class CallMemory(Protocol):
    """Where the conversation of one call is kept for the next worker."""

    def keep(self, entries: Sequence[Entry]) -> None:
        """Keep these entries, which are the whole conversation so far. Never waits."""
        ...

    async def kept(self) -> bool:
        """Wait until the last entries are kept, or a short time. Never raises.

        Returns:
            False when another worker has the call by now: nothing more may be done for it here.
        """
        ...


class UnsharedMemory:
    """For a call that nobody else will ever take up."""

    def keep(self, entries: Sequence[Entry]) -> None:
        """Forget them."""

    async def kept(self) -> bool:
        """Nobody else has the call."""
        return True


def unanswered(entries: Sequence[Entry]) -> bool:
    """Whether the caller still waits for an answer to what was said last."""
    return bool(entries) and entries[-1].kind != "agent"


def unfinished_calls(entries: Sequence[Entry]) -> list[Entry]:
    """Tool calls nobody knows the answer of."""
    answered = {entry.call_id for entry in entries if entry.kind == "output"}
    return [entry for entry in entries if entry.kind == "call" and entry.call_id not in answered]
