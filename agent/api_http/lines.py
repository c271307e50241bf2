"""Lines: which count, what a set of them would change, applying it; and the tools they may use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.api_http.parts import Parts, TaggedRoute, Who
from agent.calls.line import Line
from agent.calls.line_plan import LinePlan
from agent.calls.lines import LineVersion
from agent.calls.lines_file import parse_lines
from agent.errors import InvalidRequestError, NotFoundError

router = APIRouter(route_class=TaggedRoute, tags=["lines and tools"])


class LineView(BaseModel):
    """A line that counts. `version`, `since` and `by` are None for lines of a file."""

    entry: str
    version: int | None = None
    since: datetime | None = None
    by: str | None = None
    line: dict[str, Any]


class LineSet(BaseModel):
    """A whole set of lines, each as in a lines file. Lines that are not in it are removed."""

    lines: list[dict[str, Any]] = Field(max_length=1000)


class AppliedSet(LineSet):
    """A set to apply; `base` of the plan that was agreed to."""

    base: str | None = Field(None, max_length=64)


class Rollback(BaseModel):
    """The version of a line that shall count again."""

    version: int = Field(ge=1, lt=2**31)


class ToolView(BaseModel):
    """A tool that is installed. `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    timeout_s: float


@router.get("/lines")
async def list_lines(parts: Parts, who: Who) -> Sequence[LineView]:
    """The lines that count now."""
    who.need("read")
    applied = {each.entry: each for each in await parts.catalog.applied()}
    found = []
    for line in parts.lines:
        kept = applied.get(line.entry)
        same = kept is not None and kept.line() == line
        found.append(
            LineView(
                entry=line.entry,
                version=kept.version if kept and same else None,
                since=kept.since if kept and same else None,
                by=kept.by if kept and same else None,
                line=line.model_dump(mode="json"),
            )
        )
    return found


@router.post("/lines/plan")
async def plan_lines(parts: Parts, who: Who, given: LineSet) -> LinePlan:
    """What applying a set of lines would change. Changes nothing."""
    who.need("read")
    return await parts.catalog.plan(_lines(parts, given))


@router.post("/lines/apply")
async def apply_lines(parts: Parts, who: Who, given: AppliedSet) -> LinePlan:
    """Make a set of lines the ones that count, from the next call on. Needs `change_lines`."""
    who.need("change_lines")
    lines = _lines(parts, given)
    done = await parts.catalog.apply(lines, by=who.name, base=given.base)
    if not done.empty:
        entries = [change.entry for change in done.changes]
        await parts.desk.audit.record(who, "lines.apply", "lines", {"lines": entries})
    return done


@router.get("/lines/{entry}/versions")
async def list_versions(parts: Parts, who: Who, entry: str) -> Sequence[LineVersion]:
    """All versions of a line, newest first."""
    who.need("read")
    found = await parts.catalog.versions(entry)
    if not found:
        raise NotFoundError(f"No version of the line {entry} was ever applied.")
    return found


@router.post("/lines/{entry}/rollback")
async def roll_back(parts: Parts, who: Who, entry: str, to: Rollback) -> LineView:
    """Make an earlier version of one line count again. Needs `change_lines`."""
    who.need("change_lines")
    line = await parts.catalog.rollback(entry, to.version, by=who.name)
    await parts.desk.audit.record(who, "lines.rollback", f"line/{entry}", {"to": to.version})
    return LineView(
        entry=line.entry, version=to.version, by=who.name, line=line.model_dump(mode="json")
    )


@router.get("/tools")
async def list_tools(parts: Parts, who: Who) -> Sequence[ToolView]:
    """The tools that are installed, by name."""
    who.need("read")
    found = []
    for tool in sorted(parts.registry, key=lambda tool: tool.name):
        spec = tool.spec()
        found.append(
            ToolView(
                name=tool.name,
                description=tool.description,
                parameters=spec["parameters"],
                timeout_s=tool.timeout_s,
            )
        )
    return found


def _lines(parts: Parts, given: LineSet) -> list[Line]:
    if not given.lines:
        raise InvalidRequestError("A set needs at least one line.")
    return parse_lines({"lines": given.lines}, parts.registry.allowed)
