"""Buttons and choices, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nicegui import ui

Act = Callable[..., Any]


def main_button(text: str, act: Act, *, pictogram: str | None = None) -> ui.button:
    """The one thing that is done most in its place."""
    return _button(text, act, pictogram).classes("main-act")


def plain_button(
    text: str, act: Act, *, pictogram: str | None = None, slim: bool = False
) -> ui.button:
    """Any other thing that can be done."""
    return _button(text, act, pictogram).classes("plain slim" if slim else "plain")


def icon_button(pictogram: str, hint: str, act: Act | None = None) -> ui.button:
    """A thing done with a picture; `hint` is read aloud and shown over it."""
    button = ui.button(icon=pictogram, on_click=act, color=None).classes("icon-act")
    return button.props(f'flat round dense size=sm aria-label="{hint}"').tooltip(hint)


def buttons(box: ui.dialog, text: str, act: Act) -> None:
    """The foot of a dialog: leave it, or do it."""
    with ui.element("div").classes("row-flex w-all"):
        ui.space()
        _ = plain_button("Cancel", box.close)
        _ = main_button(text, act)


def choice(options: Mapping[Any, str] | Iterable[str], name: str, value: object) -> ui.select:
    """A choice without a label beside it; `name` is read aloud."""
    given = dict(options) if isinstance(options, Mapping) else list(options)
    box = ui.select(given, value=value)
    return box.props(f'outlined dense options-dense aria-label="{name}"')


def day_range(asked: Mapping[str, str], changer: Callable[[str], Act]) -> ui.element:
    """Two days, `from` and `to`; `changer` gives what is called when one of them changes."""
    with ui.element("div").classes("filters") as both:
        for name, label in (("from", "From"), ("to", "To")):
            box = ui.date_input(value=asked.get(name) or None, placeholder=label)
            box.props(f'outlined dense aria-label="{label}"')
            box.on_value_change(changer(name))
    return both


def _button(text: str, act: Act, pictogram: str | None) -> ui.button:
    # Without a colour of the framework's own: its classes would win over the stylesheet.
    button = ui.button(text, icon=pictogram, on_click=act, color=None)
    return button.props("unelevated no-caps")
