"""The conversation as the model server should know it, kept here so that it can be told again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Event = dict[str, Any]
"""One message of the Realtime protocol, parsed."""


@dataclass(slots=True)
class Item:
    """One entry. `text` is what was said or typed, a call's arguments, or a tool's answer."""

    item_id: str
    kind: Literal["caller", "agent", "call", "output"]
    text: str = ""
    call_id: str = ""
    name: str = ""

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
    """Entries in the order of the conversation."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

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

    def replay(self) -> list[Event]:
        """Events that tell a new session everything. Entries without words are left out."""
        return [item.as_event() for item in self._items.values() if item.text]


def _message(role: str, kind: str, text: str) -> Event:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
