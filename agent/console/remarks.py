"""Notes on a call, beside its transcript."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui
from nicegui.events import GenericEventArguments

from agent.console.controls import icon_button, main_button
from agent.console.markup import Markup, icon, join, tag
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.visitor import Visitor, handled, say
from agent.console.words import clock
from agent.errors import InvalidRequestError
from agent.supervisor.notes import Note

WHERE_PLAYBACK_STANDS = "() => emit(window.vitaNow ? window.vitaNow() : '')"


class Remarks:
    """The notes of one call, with a box to write another one. A line may give a note its moment."""

    def __init__(self, parts: Parts, visitor: Visitor, call_id: str) -> None:
        self._notes = parts.desk.notes
        self._visitor = visitor
        self._call_id = call_id

    async def build(self) -> None:
        """Put the notes on the page."""
        with ui.element("section").classes("paper"):
            show(tag("h2", "Notes"), "head")
            with ui.element("div").classes("body"):
                self._list = ui.element("div")
                if self._visitor.actor.may("annotate"):
                    self._box()
        await self._load()

    def _box(self) -> None:
        with ui.element("div").classes("compose"):
            self._text = ui.textarea(placeholder="What should others know about this call?")
            self._text.props("outlined dense autogrow").classes("w-all").mark("note-text")
            with ui.element("div").classes("row-flex"):
                self._moment = (
                    ui.input(placeholder="0:00").props("outlined dense").classes("moment")
                )
                self._moment.on("focus", self._offer_moment, js_handler=WHERE_PLAYBACK_STANDS)
                self._moment.tooltip("Moment of the call, such as 1:05; empty for the whole call")
                self._flag = ui.checkbox("Flag").props("dense")
                ui.space()
                _ = main_button("Add note", handled(self._visitor, self._add))

    def _offer_moment(self, event: GenericEventArguments) -> None:
        if event.args and not self._moment.value:
            self._moment.set_value(str(event.args))

    async def _add(self) -> None:
        await self._notes.add(
            self._visitor.actor,
            self._call_id,
            self._text.value or "",
            start_ms=moment(self._moment.value or ""),
            flag=bool(self._flag.value),
        )
        self._text.set_value("")
        self._moment.set_value("")
        self._flag.set_value(False)
        await self._load()
        say("Note added.")

    async def _load(self) -> None:
        notes = await self._notes.list(self._visitor.actor, self._call_id)
        self._list.clear()
        with self._list:
            if not notes:
                show(tag("p", "No note yet.", cls="muted"))
            for note in notes:
                self._row(note)

    def _row(self, note: Note) -> None:
        mine = note.author_id == self._visitor.actor.id or self._visitor.actor.may("manage")
        with ui.element("div").classes("note"):
            with ui.element("div").classes("row-flex"):
                show(self._by(note), "by grow")
                if mine and self._visitor.actor.may("annotate"):
                    gone = handled(self._visitor, self._deleter(note.id))
                    _ = icon_button("delete_outline", "Delete this note", gone)
            if note.text:
                show(tag("p", note.text))

    def _by(self, note: Note) -> Markup:
        at = note.start_ms
        jump = tag("span", clock(at), cls="jump", data_seek_ms=at) if at is not None else None
        flag = tag("span", icon("flag"), cls="flagged", title="Flagged") if note.flag else None
        return join(jump, tag("b", note.author), self._visitor.when(note.created_at), flag)

    def _deleter(self, note_id: str) -> Callable[[], Awaitable[None]]:
        async def delete() -> None:
            await self._notes.delete(self._visitor.actor, note_id)
            await self._load()

        return delete


def moment(text: str) -> int | None:
    """A moment of a call as typed, `1:05` or `65`, in milliseconds; None for none.

    Raises:
        InvalidRequestError: It is no moment.
    """
    said = text.strip()
    if not said:
        return None
    parts: Sequence[str] = said.split(":")
    if len(parts) > 3 or not all(part.strip().isdecimal() for part in parts):
        raise InvalidRequestError("A moment looks like 1:05, minutes and seconds.")
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return seconds * 1000
