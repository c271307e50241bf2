"""The lines that count, with every version they have had. To be read; `vita lines` changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from nicegui import ui
from starlette.requests import Request

from agent.calls.lines import AppliedLine, LineVersion
from agent.console.markup import Markup, badge, empty, icon, join, tag
from agent.console.parts import Parts
from agent.console.shell import frame, show
from agent.console.tables import facts
from agent.console.visitor import Visitor
from agent.console.words import count, entry, length
from agent.errors import ConfigurationError


def add(parts: Parts) -> None:
    """The page `/lines`."""

    @ui.page("/lines")
    async def lines(request: Request) -> None:
        visitor = parts.visitor(request)
        with frame(visitor, parts.about, "Lines", here="/lines"):
            try:
                applied = await parts.lines.applied(visitor.actor)
            except ConfigurationError as error:
                show(empty("error_outline", "The lines cannot be read", str(error)), "paper")
                return
            if not applied:
                how = join("Apply a file of lines: ", tag("code", "vita lines apply lines.yaml"))
                show(empty("dialpad", "No line is applied", how), "paper")
                return
            plates = [
                _plate(line, await parts.lines.versions(visitor.actor, line.entry), visitor)
                for line in applied
            ]
            show(tag("div", *plates, cls="plates"))


def _plate(line: AppliedLine, versions: Sequence[LineVersion], visitor: Visitor) -> Markup:
    about = line.snapshot
    head = tag(
        "div",
        tag("div", tag("h2", str(about.get("business", line.entry))), cls="grow"),
        badge(f"Version {line.version}" if line.version else f"From {line.by}", "accent"),
        cls="head",
    )
    ways = [entry(line.entry)]
    if about.get("web") and not line.entry.startswith("web:"):
        ways.append(f"call page {about['web']}")
    said = tag("div", str(about.get("greeting", "")), cls="quote")
    body = tag(
        "div",
        said,
        facts(
            ("Reached by", " · ".join(ways)),
            ("Said first", str(about.get("disclosure") or "nothing")),
            ("Recording", "on" if about.get("recording") else "off"),
            ("Camera", "on" if about.get("video") else "off"),
            ("Hours", _hours(about)),
            ("Hands over to", str(about.get("transfer_target") or "nobody")),
            ("Longest call", length(1000 * int(about.get("max_duration_s", 0)))),
            ("Applied" if line.version else "Changed", _since(line, visitor)),
        ),
        tag(
            "div", *(tag("span", str(name), cls="tagline mono") for name in about.get("tools", ()))
        ),
        _folded(count(len(about.get("facts", ())), "fact"), _facts(about)),
        _folded("Whole configuration", tag("pre", _yaml(about))),
        _folded(count(len(versions), "version"), _versions(versions, visitor))
        if versions
        else None,
        cls="body",
    )
    return tag("section", head, body, cls="paper plate", id=line.entry)


def _since(line: AppliedLine, visitor: Visitor) -> str:
    by = f" by {line.by}" if line.version else ""
    return f"{visitor.when(line.since)}{by}"


def _folded(title: str, content: Markup) -> Markup:
    return tag("details", tag("summary", title), content)


def _facts(about: Mapping[str, Any]) -> Markup:
    return tag("ul", *(tag("li", str(fact)) for fact in about.get("facts", ())))


def _hours(about: Mapping[str, Any]) -> str:
    hours = about.get("hours")
    if not isinstance(hours, Mapping):
        return "always open"
    times = hours.get("open")
    days = [f"{day} {span}" for day, span in times.items()] if isinstance(times, Mapping) else []
    zone = str(hours.get("time_zone", ""))
    return "; ".join([*days, zone]) if days else zone


def _versions(versions: Sequence[LineVersion], visitor: Visitor) -> Markup:
    rows = [
        tag(
            "li",
            tag("b", f"{each.version}"),
            f" · {visitor.when(each.created_at)} by {each.created_by}",
            join(" ", icon("check")) if each.applied else None,
        )
        for each in versions
    ]
    return tag("ul", *rows)


def _yaml(about: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in about.items() if value not in (None, "", [], ())}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=72).strip()
