"""What a person sees when a page cannot be built, or is not there."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse
from nicegui import app as pages
from nicegui import ui

from agent.console.markup import Markup, empty, tag
from agent.console.plain import plain_page
from agent.console.shell import show
from agent.errors import VitaError


def handle_failures() -> None:
    """Pages that fail say what to do; unknown addresses lead back."""
    pages.on_page_exception(_failed)
    pages.add_exception_handler(404, _missing)


def _failed(error: Exception) -> None:
    ui.page_title("Not now · vita")
    sentence = str(error) if isinstance(error, VitaError) else "The log of the console says why."
    again = tag("a", "Try again", href="", cls="button")
    show(empty("cloud_off", "This page cannot be shown right now", sentence, again), "content")


async def _missing(_request: Request, _error: Exception) -> HTMLResponse:
    what = "There is no page at this address."
    return HTMLResponse(plain_page("Not found", _back(what)), 404)


def _back(what: str) -> Markup:
    link = tag("a", "To the running calls", href="/", cls="link")
    return empty("", "Not found", what, link)
