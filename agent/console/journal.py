"""The events of a call, as its journal has them; read when they are looked at."""

from __future__ import annotations

import json
from typing import Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from agent.console.markup import Markup, empty, tag
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.tables import cell, table
from agent.console.visitor import Visitor, handled
from agent.console.words import sentence

QUIET = frozenset({"line", "line_version"})
"""Parts of an event that say nothing here: the whole configuration of the line."""


class Journal:
    """The events' tab of one call."""

    def __init__(self, parts: Parts, visitor: Visitor, call_id: str) -> None:
        self._calls = parts.desk.calls
        self._visitor = visitor
        self._call_id = call_id
        self._loaded = False

    def build(self, tabs: ui.tabs, name: str) -> None:
        """Put the table on the page; it is filled when its tab is opened."""
        self._name = name
        self._table = show(Markup(""), "table-box")
        tabs.on_value_change(handled(self._visitor, self._opened))

    async def _opened(self, event: ValueChangeEventArguments[Any]) -> None:
        if event.value != self._name or self._loaded:
            return
        self._loaded = True
        events = await self._calls.events(self._visitor.actor, self._call_id)
        if not events:
            self._table.set_content(empty("list", "No event"))
            return
        first = events[0].at
        rows = [
            [
                cell(f"+{(event.at - first).total_seconds():.2f} s", cls="num muted right nowrap"),
                cell(sentence(event.kind), cls="nowrap strong"),
                cell(tag("code", _brief(event.payload))),
            ]
            for event in events
        ]
        heads = [tag("th", "After", cls="right", scope="col"), "Event", "What it says"]
        self._table.set_content(table(heads, rows, cls="events"))


def _brief(payload: object) -> str:
    if not isinstance(payload, dict):
        return str(payload)
    kept = {
        str(key).removeprefix("pii_"): value for key, value in payload.items() if key not in QUIET
    }
    return "  ".join(
        f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in kept.items()
        if value not in ("", None, {}, [])
    )
