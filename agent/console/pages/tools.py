"""The installed tools with what the model is told of them, and plugins that could not be loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui
from starlette.requests import Request

from agent.calls.lines import AppliedLine
from agent.console.markup import Markup, badge, empty, icon, join, tag
from agent.console.parts import Parts
from agent.console.shell import frame, show
from agent.console.tables import facts
from agent.console.visitor import Visitor
from agent.console.words import length
from agent.errors import ConfigurationError
from agent.tools.tool import Tool


def add(parts: Parts) -> None:
    """The page `/tools`."""

    @ui.page("/tools")
    async def tools(request: Request) -> None:
        visitor = parts.visitor(request)
        applied = await _lines(parts, visitor)
        found = sorted(parts.registry, key=lambda tool: tool.name)
        with frame(visitor, parts.about, "Tools", here="/tools"):
            for failure in parts.registry.failures:
                words = str(failure)
                show(
                    join(icon("error_outline"), tag("span", words[:1].upper() + words[1:], ".")),
                    "notice bad",
                )
            if not found:
                how = "Install a package with tools beside the agent; they are found by themselves."
                show(empty("construction", "No tool is installed", how), "paper")
                return
            show(tag("div", *(_plate(tool, applied) for tool in found), cls="plates"))


async def _lines(parts: Parts, visitor: Visitor) -> Sequence[AppliedLine]:
    try:
        return await parts.lines.applied(visitor.actor)
    except ConfigurationError:
        return []


def _plate(tool: Tool, applied: Sequence[AppliedLine]) -> Markup:
    spec = tool.spec()
    used = [
        str(line.snapshot.get("business", line.entry))
        for line in applied
        if tool.name in line.snapshot.get("tools", ())
    ]
    head = tag(
        "div",
        tag("h2", tool.name, cls="mono grow"),
        *(badge(name, "accent") for name in used),
        cls="head",
    )
    schema: Mapping[str, Any] = spec["parameters"]
    body = tag(
        "div",
        tag("p", tool.description),
        _arguments(schema),
        facts(*_about(tool), ("Lines", ", ".join(used) or "none")),
        tag("details", tag("summary", "JSON schema"), tag("pre", json.dumps(schema, indent=2))),
        cls="body",
    )
    return tag("section", head, body, cls="paper plate", id=f"tool-{tool.name}")


def _about(tool: Tool) -> list[tuple[str, str]]:
    found = [("Time limit", length(1000 * tool.timeout_s))]
    effect = getattr(tool, "effect", "")
    words = {
        "none": "changes nothing",
        "idempotent": "changes something, may be repeated",
        "once": "changes something, runs once",
    }
    if effect in words:
        found.append(("Effect", words[effect]))
    source = getattr(tool, "source", "")
    if source:
        found.append(("From", source))
    return found


def _arguments(schema: Mapping[str, Any]) -> Markup:
    needed = schema.get("required", ())
    rows = [
        tag(
            "li",
            tag("code", name),
            tag("span", f" {_kind(about)}", cls="muted small"),
            None if name in needed else tag("span", " · optional", cls="muted small"),
        )
        for name, about in schema.get("properties", {}).items()
    ]
    return tag("ul", *rows) if rows else tag("p", "Takes no arguments.", cls="muted")


def _kind(about: Mapping[str, Any]) -> str:
    if "enum" in about:
        return " | ".join(str(value) for value in about["enum"])
    if "anyOf" in about:
        return " or ".join(str(each.get("type", "value")) for each in about["anyOf"])
    return str(about.get("type", "value"))
