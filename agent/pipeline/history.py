"""The conversation as the model server should know it, kept here so that it can be told again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agent.calls.memory import Entry, EntryKind

Event = dict[str, Any]
"""One message of the Realtime protocol, parsed."""


@dataclass(slots=True)
class Item:
    """One entry. `text` is what was said or typed, a call's arguments, or a tool's answer.

    `heard` tells of a reply whether the caller has heard all there will be of it.
    """

    item_id: str
    kind: EntryKind
    text: str = ""
    call_id: str = ""
    name: str = ""
    heard: bool = False

    def as_event(self) -> Event:
        """The client event that adds this entry to a new session."""
        content: Event
        match self.kind:
            case "caller":
                content = _message("user", "input_text", self.text)
            case "agent":
                content = _message("assistant", "output_text", self.text)
            case "call":
                content = {
                    "type": "function_call",
                    "call_id": self.call_id,
                    "name": self.name,
                    "arguments": self.text,
                }
            case "output":
                content = {
                    "type": "function_call_output",
                    "call_id": self.call_id,
                    "output": self.text,
                }
        return {"type": "conversation.item.create", "item": {"id": self.item_id, **content}}


class History:
    """Entries in the order of the conversation, after those of an earlier worker."""

    def __init__(self, earlier: Sequence[Entry] = ()) -> None:
        self._items = {entry.item_id: _item(entry) for entry in earlier}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def item(self, item_id: str, kind: Literal["caller", "agent"]) -> Item:
        """The entry of a spoken turn, begun if it is new."""
        return self._items.setdefault(item_id, Item(item_id, kind))

    def add(self, item: Item) -> Item:
        """Append an entry. A tool's answer goes right behind its call."""
        if item.kind != "output":
            self._items[item.item_id] = item
            return item
        items = list(self._items.values())
        calls = [n for n, other in enumerate(items) if other.call_id == item.call_id]
        items.insert(calls[-1] + 1 if calls else len(items), item)
        self._items = {other.item_id: other for other in items}
        return item

    def drop(self, item_id: str) -> None:
        """Forget an entry; an unknown one is ignored."""
        self._items.pop(item_id, None)

    def last_of_caller(self) -> Item | None:
        """The newest entry of the caller."""
        spoken = [item for item in self._items.values() if item.kind == "caller"]
        return spoken[-1] if spoken else None

    def finished(self) -> list[Entry]:
        """What the conversation is for whoever goes on with it: nothing half said, half heard."""
        return [
            Entry(item.item_id, item.kind, item.text, item.call_id, item.name)
            for item in self._items.values()
            if item.text and (item.heard or item.kind != "agent")
        ]

    def replay(self) -> list[Event]:
        """Events that tell a new session everything. Entries without words are left out."""
        return [item.as_event() for item in self._items.values() if item.text]


def _item(entry: Entry) -> Item:
    return Item(entry.item_id, entry.kind, entry.text, entry.call_id, entry.name, heard=True)


def _message(role: str, kind: str, text: str) -> Event:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
