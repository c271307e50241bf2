"""Tables and figures, drawn the same everywhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.console.markup import Child, Markup, join, tag


def table(
    heads: Sequence[Markup | str], rows: Sequence[Sequence[Markup]], *, cls: str = ""
) -> Markup:
    """A table; heads and cells are `th` and `td`, a head may also be plain text."""
    first = [head if isinstance(head, Markup) else tag("th", head, scope="col") for head in heads]
    body = [tag("tr", *row) for row in rows]
    return tag(
        "table", tag("thead", tag("tr", *first)), tag("tbody", *body), cls=f"list {cls}".strip()
    )


def cell(*what: Child, cls: str = "") -> Markup:
    """One cell."""
    return tag("td", *what, cls=cls)


def figure(label: str, value: str, about: Child = "", *, unit: str = "") -> Markup:
    """One number with its name, and a line that says more."""
    small = tag("small", unit) if unit else None
    return tag(
        "div",
        tag("div", label, cls="label"),
        tag("div", value, small, cls="value"),
        tag("div", about, cls="about"),
        cls="figure",
    )


def facts(*pairs: tuple[str, Child]) -> Markup:
    """Names and values, one pair a line."""
    return tag(
        "dl", *(join(tag("dt", name), tag("dd", value)) for name, value in pairs), cls="facts"
    )
