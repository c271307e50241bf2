"""A running call on a page: its words, tools and turns as they come."""

from __future__ import annotations

import asyncio

from nicegui import ui

from agent.console.live_entries import LiveEntries
from agent.console.markup import Markup, badge, empty, join, tag
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.visitor import Visitor
from agent.console.words import length
from agent.errors import NotFoundError, NotSignedInError, SessionStoreError
from agent.supervisor.live import START
from agent.tasks import TaskOwner

AGAIN_S = 2.0
"""Pause before the live view is asked again after it could not be read."""


class Following:
    """The transcript of one running call. It ends with the call, or with the page."""

    def __init__(self, parts: Parts, visitor: Visitor, call_id: str) -> None:
        self._live = parts.desk.live
        self._visitor = visitor
        self._call_id = call_id
        self._entries = LiveEntries(call_id)
        self._rows: dict[str, ui.html] = {}
        self._position = START

    def build(self) -> None:
        """Put the transcript on the page and start to follow."""
        with ui.element("section").classes("paper"):
            self._head = show(Markup(""), "head")
            self._list = ui.element("div").classes("transcript live")
            with self._list:
                waiting = "They show up as they are said."
                self._nothing = show(empty("graphic_eq", "Waiting for the first words", waiting))
        self._state("Live", "good", beat=True)
        tasks = TaskOwner(f"following.{self._call_id[:8]}")
        ui.context.client.on_delete(tasks.close)
        _ = tasks.spawn(self._run(), name="follow")

    async def _run(self) -> None:
        while True:
            try:
                await self._visitor.check()
                await self._read()
            except NotFoundError:
                break
            except NotSignedInError:
                with self._list:
                    ui.navigate.to("/sign-in")
                return
            except SessionStoreError:
                self._state("Stale: Redis is out of reach", "warn")
            else:
                break
            await asyncio.sleep(AGAIN_S)
        self._state("Ended", "")
        # The log gets its last rows a moment after the live view.
        await asyncio.sleep(AGAIN_S)
        with self._list:
            ui.navigate.reload()

    async def _read(self) -> None:
        batches = self._live.batches(self._visitor.actor, self._call_id, after=self._position)
        async for batch in batches:
            for event in batch:
                self._position = event.position
                for change in self._entries.take(event):
                    self._put(change.key, change.content)
            if not batch:
                await self._visitor.check()
            if not self._entries.over:
                self._state("Live", "good", beat=True)

    def _put(self, key: str, content: Markup | None) -> None:
        row = self._rows.get(key)
        if content is None:
            if row is not None:
                self._rows.pop(key).delete()
            return
        self._nothing.set_visibility(False)
        if row is not None:
            row.set_content(content)
            return
        with self._list:
            self._rows[key] = show(content)

    def _state(self, words: str, colour: str, *, beat: bool = False) -> None:
        latency = self._entries.latency_ms
        waited = "" if latency is None else f"last answer after {length(latency)}"
        mark = badge(words, colour, dot="beat" if beat else "")
        said = tag("span", waited, cls="muted small")
        self._head.set_content(join(tag("h2", "Transcript"), mark, said))
