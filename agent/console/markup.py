"""HTML as values: whatever is not markup already is escaped when it is put into a tag."""

from __future__ import annotations

from html import escape

VOID = frozenset({"br", "img", "input", "hr", "source", "meta", "link"})

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | float | None


def tag(name: str, /, *children: Child, cls: str = "", **attributes: Attribute) -> Markup:
    """One element. Children that are not `Markup` are escaped; None is left out.

    Args:
        name: The element's name, such as `td`.
        children: What is inside.
        cls: Its `class`.
        attributes: Others; `_` in a name becomes `-`, a trailing one is dropped. True writes the bare
            name, False and None leave the attribute out.
    """
    written = [f' class="{escape(cls)}"'] if cls else []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key_text = key.rstrip("_").replace("_", "-")
        written.append(f" {key_text}" if value is True else f' {key_text}="{escape(str(value))}"')
    opening = f"<{name}{''.join(written)}>"
    return Markup(opening if name in VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Several pieces one after another."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(str(child))
            for child in children
            if child is not None
        )
    )


def icon(name: str) -> Markup:
    """One of the built-in pictograms."""
    return tag("i", name, cls="material-icons", aria_hidden="true")


def badge(text: str, kind: str = "", *, dot: str = "") -> Markup:
    """A small label; `dot` puts a dot before it, `beat` one that pulses."""
    mark = tag("span", cls=f"dot {dot}".strip()) if dot else None
    return tag("span", mark, text, cls=f"badge {kind}".strip())


def empty(pictogram: str, title: str, *about: Child) -> Markup:
    """What a place shows that has nothing to show: why, and what to do."""
    return tag(
        "div",
        icon(pictogram) if pictogram else None,
        tag("div", title, cls="title"),
        *(tag("p", line) for line in about),
        cls="empty",
    )
