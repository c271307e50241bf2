"""When a business is open: a week of hours in its own time zone, and the days it is closed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_RANGE = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_END_OF_DAY: Final = 24 * 60

Span = tuple[int, int]
"""From and to, in minutes after midnight; `to` is not part of it."""


class OpeningHours(BaseModel):
    """A week of opening hours. Immutable.

    Attributes:
        time_zone: IANA name, such as `Europe/London`; the hours are local times there.
        open: Day or range of days (`mon`, `mon-fri`, `daily`) to one or more spans of the form
            `9:00-17:30`, parted by commas. A day that is not named is closed. A span ends on its
            own day, at the latest at `24:00`.
        closed_on: Dates on which the business is closed whatever the week says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_zone: str
    open: Mapping[str, str]
    closed_on: tuple[date, ...] = Field(default=())

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name!r}: Europe/London is one") from error
        return name

    @field_validator("open")
    @classmethod
    def _readable_week(cls, week: Mapping[str, str]) -> Mapping[str, str]:
        _spans(week)
        return week

    @cached_property
    def _week(self) -> Mapping[int, tuple[Span, ...]]:
        return _spans(self.open)

    def is_open(self, at: datetime) -> bool:
        """Whether the business is open at a moment, given with its zone."""
        local = at.astimezone(ZoneInfo(self.time_zone))
        if local.date() in self.closed_on:
            return False
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self._week.get(local.weekday(), ()))

    def next_opening(self, at: datetime) -> datetime | None:
        """The next moment the business opens, within two weeks; None when it does not."""
        local = at.astimezone(ZoneInfo(self.time_zone))
        for ahead in range(15):
            day = date.fromordinal(local.date().toordinal() + ahead)
            if day in self.closed_on:
                continue
            for start, _ in sorted(self._week.get(day.weekday(), ())):
                opens = datetime.combine(day, time(start // 60, start % 60), local.tzinfo)
                if opens > local:
                    return opens
        return None


def _spans(week: Mapping[str, Any]) -> dict[int, tuple[Span, ...]]:
    spans: dict[int, tuple[Span, ...]] = {}
    for days, text in week.items():
        for day in _days(days):
            if day in spans:
                raise ValueError(f"{DAYS[day]} is given twice")
            spans[day] = tuple(_span(part) for part in text.split(","))
    return spans


def _days(text: str) -> range:
    name = text.strip().lower()
    if name == "daily":
        return range(7)
    first, _, last = name.partition("-")
    try:
        start, end = DAYS.index(first.strip()), DAYS.index((last or first).strip())
    except ValueError:
        raise ValueError(f"{text!r} is no day: write mon, mon-fri or daily") from None
    if end < start:
        raise ValueError(f"{text!r} runs backwards: write two entries")
    return range(start, end + 1)


def _span(text: str) -> Span:
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is no span of time: write 9:00-17:30")
    from_hour, from_minute, to_hour, to_minute = (int(part) for part in found.groups())
    start, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if from_minute > 59 or to_minute > 59 or end > _END_OF_DAY or start >= end:
        raise ValueError(f"{text.strip()!r} is no span of one day")
    return start, end
