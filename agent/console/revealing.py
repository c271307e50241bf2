"""The button that shows numbers and words as they are: with a reason, and kept in the audit log."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from agent.console.controls import buttons, plain_button
from agent.console.parts import Parts
from agent.console.visitor import Visitor, handled, say
from agent.supervisor.views import CallDetails

REASONS = {
    "call_back": "To call the person back",
    "order": "To check an order or a booking",
    "complaint": "To deal with a complaint",
    "quality": "To review quality",
    "legal": "On legal grounds",
}
"""Chosen, not typed: the audit log holds no personal data."""


class Revealing:
    """Reveal and hide for one call; `draw` shows the call as it then is."""

    def __init__(
        self, parts: Parts, visitor: Visitor, call_id: str, draw: Callable[[CallDetails], None]
    ) -> None:
        self._desk = parts.desk
        self._visitor = visitor
        self._call_id = call_id
        self._draw = draw

    def build(self) -> None:
        """Put the button on the page; for those who may."""
        if not self._visitor.actor.may("reveal"):
            return
        with ui.dialog() as self._dialog, ui.card().classes("ask-card"):
            ui.label("Show numbers and other personal data?").classes("title")
            ui.label("That you looked, and why, is kept in the audit log.").classes("muted")
            self._reason = ui.select(REASONS, label="Why", value=None).props("outlined dense")
            self._reason.classes("w-all").mark("reveal-reason")
            buttons(self._dialog, "Reveal", handled(self._visitor, self._reveal))
        self._button = plain_button("Reveal", self._dialog.open, pictogram="visibility", slim=True)
        hide = handled(self._visitor, self._mask)
        self._hide = plain_button("Hide", hide, pictogram="visibility_off", slim=True)
        self._hide.set_visibility(False)

    async def _reveal(self) -> None:
        if not self._reason.value:
            say("Choose a reason first.", good=False)
            return
        actor = self._visitor.actor
        actor.need("reveal")
        await self._desk.audit.record(
            actor, "call.reveal.reason", f"call/{self._call_id}", {"reason": self._reason.value}
        )
        self._draw(await self._desk.calls.get(actor, self._call_id, reveal=True))
        _ = self._dialog.close()
        self._show(revealed=True)

    async def _mask(self) -> None:
        self._draw(await self._desk.calls.get(self._visitor.actor, self._call_id))
        self._show(revealed=False)

    def _show(self, *, revealed: bool) -> None:
        self._button.set_visibility(not revealed)
        self._hide.set_visibility(revealed)
