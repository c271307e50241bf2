"""The frame around every page: navigation, heading, search, menu of the person, footer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nicegui import ui

from agent.console.about import About
from agent.console.markup import Markup, icon, join, tag
from agent.console.visitor import Visitor
from agent.console.words import initials
from agent.supervisor.access import Permission

MARK = Markup(
    '<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9" '
    'fill="var(--accent)"/><g stroke="var(--accent-ink)" stroke-width="2.6" stroke-linecap="round">'
    '<path d="M9 14v4M13.7 10v12M18.3 12.5v7M23 8v16"/></g></svg>'
)


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    name: str
    path: str
    pictogram: str
    group: str = ""
    needs: Permission = "read"


PLACES = (
    Place("Live", "/", "sensors"),
    Place("Calls", "/calls", "call"),
    Place("Charts", "/charts", "insights"),
    Place("Lines", "/lines", "dialpad", "Set-up"),
    Place("Tools", "/tools", "construction", "Set-up"),
    Place("People", "/admin/people", "group", "Admin", "manage"),
    Place("API keys", "/admin/keys", "vpn_key", "Admin", "manage"),
    Place("Audit log", "/admin/audit", "policy", "Admin", "manage"),
)
KEYS = (
    ("Search all calls", "/"),
    ("Go to Live, Calls, Charts", "g then l, c, h"),
    ("Go to Lines, Tools", "g then i, t"),
    ("Play and pause", "Space or K"),
    ("Back and forward 5 seconds", "J and L"),
    ("Slower and faster", "< and >"),
    ("This list", "?"),
)


@contextmanager
def frame(
    visitor: Visitor, about: About, title: str, *, here: str, over: str = "", find: str = ""
) -> Iterator[None]:
    """Put a page's content into the frame.

    Args:
        visitor: Who looks.
        about: What the footer says.
        title: Heading of the page.
        here: Path of the navigation's entry the page belongs to.
        over: Name of that entry, when it stands before the title as a way back.
        find: What the search box holds.
    """
    ui.page_title(f"{title} · vita")
    ui.dark_mode(value=visitor.dark)
    _html(tag("a", "To the content", href="#content", cls="skip"), "div", "")
    with ui.element("div").classes("shell"):
        _html(_rail(visitor, about, here), "aside", "rail")
        with ui.element("main").classes("main"):
            _html(_topbar(visitor, title, here, over, find), "header", "topbar")
            with ui.element("div").classes("content").props("id=content"):
                yield
    _html(_keys(), "div", "")


def show(content: Markup, cls: str = "") -> ui.html:
    """Put markup on the page. It was escaped when it was made."""
    return _html(content, "div", cls)


def _html(content: Markup, name: str, cls: str) -> ui.html:
    return ui.html(content, sanitize=False, tag=name).classes(cls)


def _rail(visitor: Visitor, about: About, here: str) -> Markup:
    parts: list[Markup] = [tag("a", MARK, tag("span", "vita console"), cls="brand", href="/")]
    group = ""
    for place in PLACES:
        if not visitor.actor.may(place.needs):
            continue
        if place.group != group:
            group = place.group
            parts.append(tag("div", group, cls="group"))
        parts.append(
            tag(
                "a",
                icon(place.pictogram),
                tag("span", place.name),
                cls="nav here" if place.path == here else "nav",
                href=place.path,
                title=place.name,
                aria_current="page" if place.path == here else None,
            )
        )
    lines = [tag("div", line) for line in about.lines()]
    parts.append(tag("footer", *lines, cls="end"))
    return join(*parts)


def _topbar(visitor: Visitor, title: str, here: str, over: str, find: str) -> Markup:
    way = [tag("a", over, cls="crumb", href=here), tag("span", " / ", cls="crumb")] if over else []
    box = tag(
        "form",
        icon("search"),
        tag(
            "input",
            name="q",
            value=find,
            placeholder="Search what was said",
            aria_label="Search what was said in all calls",
            autocomplete="off",
        ),
        tag("kbd", "/"),
        cls="find",
        action="/calls",
        method="get",
        role="search",
    )
    scheme = tag(
        "button",
        icon("contrast"),
        cls="round",
        type="button",
        data_act="scheme",
        aria_label="Light or dark",
        title="Light or dark",
    )
    return join(tag("h1", *way, title), box, scheme, _menu(visitor))


def _menu(visitor: Visitor) -> Markup:
    actor = visitor.actor
    head = tag(
        "div",
        tag("div", actor.name, cls="strong clip"),
        tag("div", actor.role.capitalize(), cls="muted small"),
        cls="head",
    )
    keys = tag("button", icon("keyboard"), "Keyboard shortcuts", type="button", data_act="keys")
    leave = tag(
        "form",
        tag("button", icon("logout"), "Sign out", type="submit"),
        method="post",
        action="/sign-out",
    )
    person = tag("summary", initials(actor.name), cls="who", aria_label=f"Menu of {actor.name}")
    return tag("details", person, tag("div", head, keys, leave, cls="sheet"), cls="menu")


def _keys() -> Markup:
    rows = [
        join(tag("dt", what), tag("dd", *(_key(word) for word in keys.split(" "))))
        for what, keys in KEYS
    ]
    return tag("dialog", tag("h2", "Keyboard shortcuts"), tag("dl", *rows), cls="keys")


def _key(word: str) -> Markup:
    if word in {"then", "or", "and"}:
        return join(" ", tag("span", word, cls="muted small"), " ")
    return join(tag("kbd", word.rstrip(",")), " ")
