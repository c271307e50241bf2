"""What `vita bench server` finds, and its JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

WHOLE, SHORT, LONG = "whole questions", "short", "long"
DECIDED, OPEN = "found by the server, from its decision", "found by the server, from the last word"
AT_ONCE, CONVERSING = "asked at one moment", "in conversation"
GAP_SHARE = 0.01
"""Silence inside answers, as a share of their length, up to which real time counts as kept."""


@dataclass(frozen=True, slots=True)
class Latency:
    """First sound after the turn's end, in milliseconds.

    Attributes:
        cores: Cores the server may use.
        case: How the turn ended and how long it was.
        turns: Answers measured.
        p50: Median by the clock.
        p95: 95th percentile.
        cpu: Median of the server's CPU time.
    """

    cores: int
    case: str
    turns: int
    p50: float
    p95: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Level:
    """Several sessions at once.

    Attributes:
        way: How they ask.
        sessions: How many.
        answers: Answers heard.
        first: Median milliseconds to the first sound.
        first_p95: 95th percentile.
        real_time: Length of an answer over the time until it was complete, of the slowest session.
        speed: Seconds of speech heard in a second, all sessions together.
        scaling: Speed over that of one session times their number.
        gaps: Share of silence inside the answers.
        cpu: Cores used.
    """

    way: str
    sessions: int
    answers: int
    first: float
    first_p95: float
    real_time: float
    speed: float
    scaling: float
    gaps: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Interrupted answers: milliseconds from the decision to the last sound.

    Attributes:
        way: Who decides.
        beside: Other sessions in conversation meanwhile.
        times: One for each interruption.
    """

    way: str
    beside: int
    times: list[float]


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured."""

    latencies: list[Latency] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)

    def ratio(self, cores: int) -> float | None:
        """First sound after a long turn over that after a short one."""
        p50 = {row.case: row.p50 for row in self.latencies if row.cores == cores}
        return p50[LONG] / p50[SHORT] if p50.keys() >= {LONG, SHORT} else None

    def knee(self, way: str) -> int:
        """Most sessions that were still heard without gaps, counted from below; 0 when none."""
        kept = 0
        for level in self.levels:
            if level.way == way:
                if level.gaps > GAP_SHARE:
                    break
                kept = level.sessions
        return kept

    def beside(self, older: Found) -> Found:
        """With what was measured before and not again."""
        cores = {row.cores for row in self.latencies}
        kept = [row for row in older.latencies if row.cores not in cores]
        latencies = sorted([*kept, *self.latencies], key=lambda row: row.cores)
        return replace(
            self,
            latencies=latencies,
            levels=self.levels or older.levels,
            cuts=self.cuts or older.cuts,
        )


def write(found: Found, path: Path) -> None:
    """The figures for programs."""
    figures: dict[str, Any] = asdict(found)
    figures["long_over_short"] = {
        cores: found.ratio(cores) for cores in sorted({row.cores for row in found.latencies})
    }
    figures["knee"] = {way: found.knee(way) for way in (AT_ONCE, CONVERSING)}
    path.write_text(json.dumps(figures, indent=2) + "\n")


def read(path: Path) -> Found:
    """What `write` wrote.

    Raises:
        ValueError: It is something else.
    """
    try:
        figures = json.loads(path.read_text())
        return Found(
            [Latency(**row) for row in figures["latencies"]],
            [Level(**row) for row in figures["levels"]],
            [Cut(**row) for row in figures["cuts"]],
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} holds no figures of this command; name another file.") from None
