"""Opening hours: days, spans, time zones and closed dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from agent.calls.hours import OpeningHours

pytestmark = pytest.mark.unit

HOURS = OpeningHours.model_validate(
    {
        "time_zone": "Europe/London",
        "open": {"mon-fri": "9:00-12:30, 13:30-17:30", "sat": "10:00-24:00"},
        "closed_on": ["2026-12-25"],
    }
)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 11, 27, 9, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 27, 8, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 27, 12, 30, tzinfo=UTC), False),
        (datetime(2026, 11, 27, 17, 29, tzinfo=UTC), True),
        (datetime(2026, 11, 28, 23, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 29, 12, 0, tzinfo=UTC), False),
        (datetime(2026, 12, 25, 12, 0, tzinfo=UTC), False),
        (datetime(2026, 7, 3, 8, 0, tzinfo=UTC), True),  # summer time: nine in London
    ],
)
def test_a_moment_is_within_the_hours_of_its_place(at: datetime, is_open: bool) -> None:
    assert HOURS.is_open(at) is is_open


def test_the_next_opening_skips_closed_days() -> None:
    christmas_eve = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
    assert HOURS.next_opening(christmas_eve) == datetime(2026, 12, 26, 10, 0, tzinfo=UTC)
    never = OpeningHours(time_zone="UTC", open={})
    assert never.next_opening(christmas_eve) is None


@pytest.mark.parametrize(
    ("week", "reason"),
    [
        ({"monday": "9:00-17:00"}, "'monday' is no day"),
        ({"fri-mon": "9:00-17:00"}, "runs backwards"),
        ({"mon": "9-17"}, "is no span of time: write 9:00-17:30"),
        ({"mon": "17:00-9:00"}, "is no span of one day"),
        ({"mon-fri": "9:00-17:00", "tue": "9:00-12:00"}, "tue is given twice"),
    ],
)
def test_a_week_that_makes_no_sense_says_why(week: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OpeningHours.model_validate({"time_zone": "UTC", "open": week})


def test_an_unknown_time_zone_is_named() -> None:
    with pytest.raises(ValidationError, match="no time zone 'Mars/Olympus'"):
        OpeningHours.model_validate({"time_zone": "Mars/Olympus", "open": {}})
