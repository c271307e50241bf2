"""How the console writes times, lengths, numbers and states. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

OUTCOMES = MappingProxyType(
    {
        "caller_hung_up": ("Caller hung up", ""),
        "agent_ended": ("Agent ended", "accent"),
        "transferred": ("Transferred", "violet"),
        "failed": ("Failed", "bad"),
        "worker_stopped": ("Interrupted", "warn"),
        "after_hours": ("After hours", ""),
        "busy": ("Busy", "warn"),
        "no-answer": ("No answer", "warn"),
        "canceled": ("Given up", ""),
        "completed": ("Completed", ""),
    }
)
STATES = MappingProxyType(
    {
        "admitted": ("Ringing", "warn"),
        "connected": ("Connecting", "warn"),
        "in_progress": ("Talking", "good"),
        "transferring": ("Transferring", "violet"),
        "ended": ("Ended", ""),
    }
)
STATUSES = MappingProxyType(
    {
        "ok": ("Done", "good"),
        "started": ("Running", "warn"),
        "refused": ("Refused", "warn"),
        "failed": ("Failed", "bad"),
        "crashed": ("Broke off", "bad"),
        "timed_out": ("Timed out", "bad"),
        "repeated": ("Done before", "good"),
        "unknown": ("Not known whether done", "warn"),
        "cancelled": ("Cancelled", ""),
    }
)
_UNITS = ("B", "kB", "MB", "GB")


def outcome(name: str) -> tuple[str, str]:
    """Words and colour for why a call ended."""
    return OUTCOMES.get(name) or (sentence(name), "")


def state(name: str) -> tuple[str, str]:
    """Words and colour for where a call stands."""
    return STATES.get(name) or (sentence(name), "")


def status(name: str) -> tuple[str, str]:
    """Words and colour for how a tool call went."""
    return STATUSES.get(name) or (sentence(name), "")


def sentence(name: str) -> str:
    """A name from the code as words: `call_ended` becomes `Call ended`."""
    words = name.replace("_", " ").replace("-", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]


def zone(name: str) -> tzinfo:
    """A time zone by the name the browser gave; UTC when there is none such."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def clock(ms: float) -> str:
    """A position or a length: `1:05`, `1:02:03`."""
    seconds = max(int(ms // 1000), 0)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def length(ms: float | None) -> str:
    """A duration in words: `850 ms`, `1.2 s`, `2 min`, `2 min 05 s`."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds:02} s" if seconds else f"{minutes} min"


def when(at: datetime, now: datetime, place: tzinfo) -> str:
    """A moment as a person says it: `Today 14:03`, `Yesterday 09:12`, `3 Mar 10:00`."""
    here, today = at.astimezone(place), now.astimezone(place).date()
    time = f"{here:%H:%M}"
    if here.date() == today:
        return f"Today {time}"
    if here.date() == today - timedelta(days=1):
        return f"Yesterday {time}"
    year = "" if here.year == today.year else f" {here.year}"
    return f"{here.day} {here:%b}{year} {time}"


def exactly(at: datetime, place: tzinfo) -> str:
    """A moment to the second."""
    here = at.astimezone(place)
    return f"{here.day} {here:%b %Y %H:%M:%S}"


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def caller(number: str, line: str) -> str:
    """Number of the other side; words where it was withheld, or the call came from a page."""
    return number or ("From the call page" if line.startswith("web:") else "Number withheld")


def entry(line: str) -> str:
    """How calls reach a line: its number, or its page."""
    return f"Call page {line[4:]}" if line.startswith("web:") else line


def initials(name: str) -> str:
    """One or two letters that stand for a person."""
    words = [word for word in name.replace("@", " ").split() if word[:1].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"


def pretty(text: str) -> str:
    """JSON text with its parts on lines of their own; other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 call`, `3 calls`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
