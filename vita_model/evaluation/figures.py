"""What rows of an evaluation come to: figures with intervals, beside their bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Sense = Literal["at least", "at most"]
How = Literal["ratio", "median"]
DRAWS = 2_000
"""Samples of the bootstrap."""
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a suite and what the model made of it; stored as a line of JSON.

    Attributes:
        key: Names the item; the same in every run with the same seed.
        group: Under which condition it was asked, such as `clean` or `babble`.
        counts: (points, out of) by the name of a measure: (1, 1) is right, (2, 7) are two wrong
            words of seven, (412, 1) is a quantity.
        wanted: The right answer in words.
        got: The model's.
        said: What was said or asked.
        heard: What the model understood.
        retold: What a recogniser wrote of the reply's sound.
        cluster: Items that are not independent of each other share it; the key if empty.
        files: Files of the item by role (`input`, `reply`, `picture`), relative to the run.
    """

    key: str
    group: str
    counts: Mapping[str, tuple[float, float]]
    wanted: str = ""
    got: str = ""
    said: str = ""
    heard: str = ""
    retold: str = ""
    cluster: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        return {
            "key": self.key,
            "group": self.group,
            "counts": {name: list(pair) for name, pair in self.counts.items()},
            "wanted": self.wanted,
            "got": self.got,
            "said": self.said,
            "heard": self.heard,
            "retold": self.retold,
            "cluster": self.cluster,
            "files": dict(self.files),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Row:
        """The row of `as_dict`."""
        counts = {name: (float(a), float(b)) for name, (a, b) in found["counts"].items()}
        return cls(**{**found, "counts": counts})


@dataclass(frozen=True, slots=True)
class Measure:
    """What is read off the rows of a suite.

    Attributes:
        name: Key of `Row.counts`, and its name in the report.
        unit: `%` for shares and error rates, else the unit of the quantity.
        sense: Whether more or less is better; None if neither.
        bars: What has to be reached, by group, in the unit.
        how: Sum of points over sum of possible ones, or the median of the points.
        minus: Name of another measure whose ratio is taken off.
    """

    name: str
    unit: str = "%"
    sense: Sense | None = "at least"
    bars: Mapping[str, float] = field(default_factory=dict)
    how: How = "ratio"
    minus: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95 % interval, in the measure's unit."""

    measure: str
    group: str
    unit: str
    value: float
    low: float
    high: float
    items: int
    sense: Sense | None
    bar: float | None

    @property
    def met(self) -> bool | None:
        """Whether the value reaches the bar; None without one."""
        if self.bar is None or self.sense is None:
            return None
        return self.value >= self.bar if self.sense == "at least" else self.value <= self.bar

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies on the value's side of the bar."""
        if self.bar is None:
            return False
        return self.low >= self.bar or self.high <= self.bar


def figures(rows: Sequence[Row], measures: Sequence[Measure], seed: int = 0) -> list[Figure]:
    """Every measure in every group whose rows have it, in the order of the measures."""
    found = []
    for measure in measures:
        groups = dict.fromkeys(row.group for row in rows if _has(row, measure))
        for group in groups:
            chosen = [row for row in rows if row.group == group and _has(row, measure)]
            found.append(_figure(chosen, measure, group, seed))
    return found


def _has(row: Row, measure: Measure) -> bool:
    return measure.name in row.counts and (not measure.minus or measure.minus in row.counts)


def _figure(rows: Sequence[Row], measure: Measure, group: str, seed: int) -> Figure:
    if measure.how == "median":
        value, low, high = _median(rows, measure, seed)
    else:
        value, low, high = _ratio(rows, measure, seed)
    scale = 100.0 if measure.unit == "%" else 1.0
    return Figure(
        measure.name,
        group,
        measure.unit,
        scale * value,
        scale * low,
        scale * high,
        len(rows),
        measure.sense,
        measure.bars.get(group, measure.bars.get("")),
    )


def _clusters(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """Points and possible points of each cluster, `[clusters, 2]`."""
    sums: dict[str, NDArray[np.float64]] = {}
    for row in rows:
        key = row.cluster or row.key
        sums[key] = sums.get(key, np.zeros(2)) + np.array(row.counts[name])
    return np.stack(list(sums.values()))


def _ratio(rows: Sequence[Row], measure: Measure, seed: int) -> tuple[float, float, float]:
    counts = _clusters(rows, measure.name)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
    value, drawn = _over(counts.sum(0)), _over(weights @ counts)
    if measure.minus:
        other = _clusters(rows, measure.minus)
        value, drawn = value - _over(other.sum(0)), drawn - _over(weights @ other)
    elif np.ptp(drawn) == 0 and value in (0.0, 1.0):
        return (float(value), *wilson(value * counts[:, 1].sum(), counts[:, 1].sum()))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(value), float(low), float(high)


def _over(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = sums[..., 0] / np.maximum(sums[..., 1], 1e-9)
    return ratio


def _median(rows: Sequence[Row], measure: Measure, seed: int) -> tuple[float, float, float]:
    values = np.array([points for points, _ in (row.counts[measure.name] for row in rows)])
    drawn = np.random.default_rng(seed).choice(values, (DRAWS, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(np.median(values)), float(low), float(high)


def wilson(right: float, asked: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    The bootstrap gives no interval when every item came out alike; this one does.
    """
    share = right / asked
    middle = (share + _Z**2 / (2 * asked)) / (1 + _Z**2 / asked)
    half = (
        _Z * math.sqrt(share * (1 - share) / asked + _Z**2 / (4 * asked**2)) / (1 + _Z**2 / asked)
    )
    return max(0.0, middle - half), min(1.0, middle + half)
