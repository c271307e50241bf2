"""What the admins' pages share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from agent.console.markup import empty
from agent.console.parts import Parts
from agent.console.shell import frame, show
from agent.console.visitor import Visitor


@contextmanager
def admin_page(visitor: Visitor, parts: Parts, title: str, here: str) -> Iterator[bool]:
    """The frame of a page for admins; False inside for everybody else, who is told so."""
    with frame(visitor, parts.about, title, here=here):
        allowed = visitor.actor.may("manage")
        if not allowed:
            show(
                empty("lock", "This page is for admins", "Ask one to give you that role."), "paper"
            )
        yield allowed


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """A box over the page."""
    with ui.dialog() as box, ui.card().classes("ask-card"):
        ui.label(title).classes("title")
        yield box
