"""Opening hours: a random week, its many written layouts and the questions about it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from vita_model.training.dialogues.asking import draw, phrase, text_value
from vita_model.training.dialogues.facts import UNKNOWN, Fact
from vita_model.training.dialogues.model import Split, Turn
from vita_model.training.dialogues.patterns import load
from vita_model.training.dialogues.spoken import time_text, time_words
from vita_model.training.dialogues.values import DAYS, MAKERS, Value

Span = tuple[str, str]
_SHORT = {day: day[:3] for day in DAYS}


@dataclass
class Week:
    """Per day: a span as written, None when closed; a day not told is absent."""

    days: dict[str, Span | None]
    lunch: Span | None = None
    holidays: dict[str, Span | None] = field(default_factory=dict)
    today: str = ""

    def main(self) -> Span:
        """The span most days share."""
        spans = [span for span in self.days.values() if span]
        return max(spans, key=spans.count)


def _clock(rng: random.Random) -> Callable[[int, int], str]:
    style = rng.choice(("9 am", "9 am", "9am", "09:00", "9:00", "9:00 am", "9.00"))

    def write(hour: int, minute: int) -> str:
        if style == "9 am":
            return time_text(hour, minute)
        if style == "9am":
            return time_text(hour, minute).replace(" ", "")
        if style == "9:00 am":
            return f"{hour % 12 or 12}:{minute:02d} {'am' if hour < 12 else 'pm'}"
        if style == "09:00":
            return f"{hour:02d}:{minute:02d}"
        return f"{hour}{style[1]}{minute:02d}"

    return write


def _span(rng: random.Random, write: Callable[[int, int], str], short: bool = False) -> Span:
    opens = rng.randint(6, 11), rng.choice((0, 0, 0, 30, 15, 45))
    closes = rng.randint(12, 16) if short else rng.randint(16, 23), rng.choice((0, 0, 0, 30, 45))
    return write(*opens), write(*closes)


def _weekend(
    rng: random.Random, write: Callable[[int, int], str], main: Span
) -> dict[str, Span | None]:
    short = _span(rng, write, short=True)
    saturdays: tuple[dict[str, Span | None], ...] = (
        {"Saturday": short}, {"Saturday": None}, {"Saturday": main}, {}
    )  # fmt: skip
    sundays: tuple[dict[str, Span | None], ...] = (
        {"Sunday": None}, {"Sunday": _span(rng, write, short=True)}, {}
    )  # fmt: skip
    saturday = rng.choices(saturdays, (60, 12, 13, 15))[0]
    return saturday | rng.choices(sundays, (55, 25, 20))[0]


def random_week(rng: random.Random, split: Split) -> Week:
    """A week with closed days, odd days and days left untold."""
    write = _clock(rng)
    main = _span(rng, write)
    days: dict[str, Span | None] = dict.fromkeys(DAYS[:5], main)
    days |= _weekend(rng, write, main)
    if rng.random() < 0.3:
        days[rng.choice(DAYS[:5])] = rng.choice((None, None, _span(rng, write)))
    if rng.random() < 0.1:
        days[rng.choice(DAYS[:5])] = None
    week = Week(days)
    if rng.random() < 0.15:
        opens = rng.choice((12, 13))
        week.lunch = write(opens, rng.choice((0, 30))), write(opens + 1, rng.choice((0, 30)))
    while rng.random() < 0.3 and len(week.holidays) < 3:
        name = MAKERS["holiday"](rng, split)
        week.holidays[name] = rng.choice((None, None, _span(rng, write, short=True)))
    if rng.random() < 0.25:
        week.today = rng.choice(DAYS)
    return week


def _runs(days: dict[str, Span | None]) -> list[tuple[list[str], Span | None]]:
    runs: list[tuple[list[str], Span | None]] = []
    for at, day in enumerate(DAYS):
        if day not in days:
            continue
        if runs and runs[-1][1] == days[day] and runs[-1][0][-1] == DAYS[at - 1]:
            runs[-1][0].append(day)
        else:
            runs.append(([day], days[day]))
    return runs


def _name(run: list[str], style: str) -> str:
    short = style == "short"
    first, last = (_SHORT[run[0]], _SHORT[run[-1]]) if short else (run[0], run[-1])
    if len(run) == 1:
        return first
    if style == "weekdays" and run == list(DAYS[:5]):
        return "weekdays"
    if style == "weekdays" and run == list(DAYS):
        return "every day"
    if len(run) == 2:
        return f"{first} and {last}" if not short else f"{first}, {last}"
    return f"{first}-{last}" if short else f"{first} to {last}"


_OPEN_FORMS = (
    "{d}: {o} to {c}", "Open {d}: {o} to {c}", "Open {d} {o} - {c}", "{d} {o}-{c}",
    "We are open {d} from {o} to {c}.", "We open at {o} and close at {c} on {d}.",
    "Hours {d}: {o} to {c}", "{d}: open {o}, close {c}", "{d} from {o} until {c}",
    "{d} we open at {o} and close at {c}.", "We're here {d}, {o} to {c}",
    "Doors open {d} at {o} and shut at {c}.", "{d}: {o} till {c}", "Office hours {d} {o} to {c}",
    "{d} opening time {o}, closing time {c}", "You can visit us {d} between {o} and {c}.",
    "Opening hours {d}: {o} - {c}", "{d} {o} till {c}", "On {d} we are here {o} to {c}.",
)  # fmt: skip
_CLOSED_FORMS = (
    "{d}: closed", "Closed on {d}", "We are closed on {d}.", "{d} closed", "No opening on {d}",
    "{d}: CLOSED", "Closed {d}", "{d} we stay closed", "Not open on {d}",
    "{d}: no opening", "We don't open on {d}.", "On {d} we are closed.", "{d} - closed",
    "{d} is our closing day",
)  # fmt: skip


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def written(week: Week, rng: random.Random) -> list[str]:
    """The week as fact lines in a random layout."""
    style = rng.choice(("full", "full", "short", "weekdays"))
    runs = _runs(week.days)
    lines: list[str] = []
    open_form, closed_form = rng.choice(_OPEN_FORMS), rng.choice(_CLOSED_FORMS)
    if rng.random() < 0.35:
        title = rng.choice(("Opening hours: ", "Hours: ", "Open: ", "Business hours: ", "We open "))
        joint = rng.choice((", ", "; ", ", "))
        dash = rng.choice(("-", " - ", " to ", "-"))
        parts = [
            f"{_name(run, style)} {span[0]}{dash}{span[1]}"
            if span
            else rng.choice((f"{_name(run, style)} closed", f"closed {_name(run, style)}"))
            for run, span in runs
        ]
        lines.append(title + joint.join(parts))
    else:
        mixed = rng.random() < 0.3
        for run, span in runs:
            if span:
                form = rng.choice(_OPEN_FORMS) if mixed else open_form
                line = form.format(d=_name(run, style), o=span[0], c=span[1])
            else:
                form = rng.choice(_CLOSED_FORMS) if mixed else closed_form
                line = form.format(d=_name(run, style))
            lines.append(_cap(line))
    if week.lunch:
        form = rng.choice(("Lunch break: {} to {}", "Closed for lunch {} to {}", "Lunch {} - {}"))
        lines.append(form.format(*week.lunch))
    for name, span in week.holidays.items():
        if span:
            form = rng.choice(("{}: {} to {}", "{} open {} to {}", "On {} we open {} to {}."))
            lines.append(_cap(form.format(name, *span)))
        else:
            form = rng.choice(("Closed on {}", "{}: closed", "We are closed on {}."))
            lines.append(_cap(form.format(name)))
    if week.today:
        lines.append(rng.choice(("Today is {}", "Today: {}", "Today is {}.")).format(week.today))
    return lines


def _day_reply(week: Week, day: str, kind: str) -> str:
    if day not in week.days:
        return UNKNOWN
    span = week.days[day]
    if span is None:
        return f"No, {day} is closed." if kind == "is_open" else f"{day} is closed."
    if kind == "open":
        return f"We open at {span[0]} on {day}."
    if kind == "close":
        return f"We close at {span[1]} on {day}."
    hours = f"{day} {span[0]} to {span[1]}."
    return f"Yes, {hours}" if kind == "is_open" else hours


def _summary(week: Week) -> str:
    parts = [
        f"{_name(run, 'full')} {span[0]} to {span[1]}" if span else f"{_name(run, 'full')} closed"
        for run, span in _runs(week.days)
    ]
    return ", ".join(parts) + "."


def _turn(
    section: str, values: dict[str, Value], reply: str, rng: random.Random, split: Split
) -> Turn:
    pattern, text = draw(rng, f"hours_{section}", load("hours")[section], split)
    said, typed = phrase(text, values, rng, lead=not text.startswith(("and ", "what about")))
    intent = "unknown" if reply == UNKNOWN else f"hours_{section}"
    return Turn(said, typed, reply, intent=intent, pattern=pattern)


def ask_day(week: Week, day: str, rng: random.Random, split: Split, section: str = "") -> Turn:
    """A question about one weekday's hours."""
    section = section or rng.choice(
        ("open_day", "close_day", "hours_day", "is_open", "is_open", "is_open_at", "is_closed")
    )
    kind = {"open_day": "open", "close_day": "close", "is_open": "is_open"}.get(section, "hours")
    reply = _day_reply(week, day, kind)
    values = {"day": text_value(day)}
    if section == "is_open_at":
        hour, minute = rng.randint(8, 19), rng.choice((0, 30))
        values["time"] = Value(time_words(hour, minute, rng), time_text(hour, minute), "")
    return _turn(section, values, reply, rng, split)


def _ask_weekend(week: Week, rng: random.Random, split: Split) -> Turn:
    told = {day: week.days[day] for day in DAYS[5:] if day in week.days}
    reply = _cap(_summary(Week(told))) if len(told) == 2 else UNKNOWN
    if len(told) == 1:
        reply = _summary(Week(told))
    return _turn("weekend", {}, reply, rng, split)


def _ask_relative(week: Week, section: str, rng: random.Random, split: Split) -> Turn:
    if not week.today:
        return _turn(section, {}, _summary(week), rng, split)
    day = week.today
    if section == "tomorrow":
        day = DAYS[(DAYS.index(day) + 1) % 7]
    return _turn(section, {}, _day_reply(week, day, "hours"), rng, split)


def _ask_holiday(week: Week, rng: random.Random, split: Split) -> Turn:
    known = list(week.holidays)
    name = rng.choice(known) if known and rng.random() < 0.8 else MAKERS["holiday"](rng, split)
    reply = UNKNOWN
    if name in week.holidays:
        span = week.holidays[name]
        shown = _cap(name)
        reply = f"{shown} {span[0]} to {span[1]}." if span else f"No, {name} is closed."
    return _turn("holiday", {"holiday": text_value(name)}, reply, rng, split)


def _ask_main(week: Week, section: str, rng: random.Random, split: Split) -> Turn:
    opens, closes = week.main()
    reply = {"open": f"We open at {opens}.", "close": f"We close at {closes}."}
    return _turn(section, {}, reply.get(section) or _summary(week), rng, split)


def _ask_any_day(week: Week, rng: random.Random, split: Split) -> Turn:
    odd = [day for day in DAYS if week.days.get(day) != week.main()]
    day = rng.choice(odd) if odd and rng.random() < 0.65 else rng.choice(DAYS)
    return ask_day(week, day, rng, split)


def _ask_closed(week: Week, rng: random.Random, split: Split) -> Turn:
    closed = [day for day in DAYS if day in week.days and week.days[day] is None]
    verb = "are" if len(closed) > 1 else "is"
    reply = f"{' and '.join(closed)} {verb} closed." if closed else UNKNOWN
    if not closed and len(week.days) == 7:
        reply = "We are open every day."
    return _turn("days_closed", {}, reply, rng, split)


def _ask_lunch(week: Week, rng: random.Random, split: Split) -> Turn:
    reply = f"We close for lunch {week.lunch[0]} to {week.lunch[1]}." if week.lunch else UNKNOWN
    return _turn("lunch", {}, reply, rng, split)


def ask(week: Week, rng: random.Random, split: Split) -> Turn:
    """Any question about the week; Saturday, Sunday and odd days are asked most."""
    makers: dict[Callable[[], Turn], float] = {
        lambda: _ask_main(week, "open", rng, split): 12,
        lambda: _ask_main(week, "close", rng, split): 12,
        lambda: _ask_main(week, "all", rng, split): 9,
        lambda: _ask_any_day(week, rng, split): 40,
        lambda: _ask_weekend(week, rng, split): 6,
        lambda: _ask_relative(week, "today", rng, split): 5,
        lambda: _ask_relative(week, "tomorrow", rng, split): 5,
        lambda: _ask_holiday(week, rng, split): 8 if week.holidays else 1,
        lambda: _ask_closed(week, rng, split): 4,
        lambda: _ask_lunch(week, rng, split): 4 if week.lunch else 1,
    }
    return rng.choices(list(makers), list(makers.values()))[0]()


def hours_fact(week: Week, rng: random.Random) -> Fact:
    """The week as one fact with all its lines and questions."""
    return Fact("hours", written(week, rng), lambda r, s: ask(week, r, s))
