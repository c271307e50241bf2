"""The filters that several pages share: stretch of time, line, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from types import MappingProxyType

from agent.clock import SystemClock
from agent.console.parts import Parts
from agent.console.visitor import Visitor
from agent.console.words import OUTCOMES
from agent.errors import ConfigurationError

PERIODS: Mapping[str, str] = MappingProxyType(
    {
        "all": "Any time",
        "today": "Today",
        "yesterday": "Yesterday",
        "7d": "Last 7 days",
        "30d": "Last 30 days",
        "range": "From – to …",
    }
)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time in whole days of the visitor's zone; None where it is open."""

    name: str
    since: datetime | None
    until: datetime | None


def period(key: str, place: tzinfo, first: str = "", last: str = "") -> Period:
    """The stretch a choice stands for; `first` and `last` are ISO dates of a range."""
    today = SystemClock().now().astimezone(place).date()
    name = PERIODS.get(key, PERIODS["all"])
    match key:
        case "today":
            return _days(name, today, today, place)
        case "yesterday":
            return _days(name, today - timedelta(days=1), today - timedelta(days=1), place)
        case "7d":
            return _days(name, today - timedelta(days=6), today, place)
        case "30d":
            return _days(name, today - timedelta(days=29), today, place)
        case "range":
            return _days("In this range", _date(first), _date(last), place)
        case _:
            return Period(PERIODS["all"], None, None)


def _days(name: str, first: date | None, last: date | None, place: tzinfo) -> Period:
    since = datetime.combine(first, time(), place) if first else None
    until = datetime.combine(last + timedelta(days=1), time(), place) if last else None
    return Period(name, since, until)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def outcome_options() -> dict[str, str]:
    """How calls end, for a choice."""
    return {name: words for name, (words, _) in OUTCOMES.items()}


async def line_options(parts: Parts, visitor: Visitor) -> dict[str, str]:
    """The lines, for a choice: entry to business."""
    try:
        lines = await parts.lines.applied(visitor.actor)
    except ConfigurationError:
        return {}
    return {line.entry: str(line.snapshot.get("business") or line.entry) for line in lines}
