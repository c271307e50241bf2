"""What the arms come to over the seeds: means, intervals, and differences from the three stages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from vita_model.evaluation.claim import measure
from vita_model.evaluation.claim.run import Result

BEFORE = f"{measure.SEEN}, before speech"
CHANGE = f"{measure.SEEN}, change"
MEASURES = (
    BEFORE,
    measure.SEEN,
    CHANGE,
    measure.TYPED_TALK,
    measure.ASKED_ALOUD,
    measure.TALKED,
    measure.WRITTEN,
    measure.SILENT,
    measure.SPOKEN_WRONG,
)
LESS_IS_BETTER = (measure.WRITTEN, measure.SPOKEN_WRONG)
FIRST = "three stages"
_VISION_ENDS = "1.3"
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's 97.5 % points for 1 to 10 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Percentages over seeds, with the 95 % interval of their mean; none for a single seed."""

    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """By Student's t over the seeds."""
        count = len(self.values)
        if count < 2:
            return -math.inf, math.inf
        point = _T[count - 2] if count - 2 < len(_T) else 2.2
        half = point * statistics.stdev(self.values) / math.sqrt(count)
        return self.value - half, self.value + half


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of one arm, and how far it is from the three stages' (seed by seed).

    `better` says whether this arm is better than the three stages; None when the interval of the
    difference holds zero, or there is nothing to compare with.
    """

    measure: str
    arm: str
    mean: Mean
    difference: Mean | None

    @property
    def better(self) -> bool | None:
        """See the class."""
        if self.difference is None:
            return None
        low, high = self.difference.interval
        if low <= 0 <= high:
            return None
        return (low > 0) != (self.measure in LESS_IS_BETTER)


def values(results: Sequence[Result], name: str) -> dict[str, dict[int, float]]:
    """Percentages of a measure by arm and seed."""
    found: dict[str, dict[int, float]] = {}
    for result in results:
        percent = _percent(result, name)
        if percent is not None:
            found.setdefault(result.arm, {})[result.seed] = percent
    return found


def _percent(result: Result, name: str) -> float | None:
    before = next((counts for stage, counts in result.path if stage == _VISION_ENDS), None)
    if name == BEFORE:
        return None if before is None else _share(before, measure.SEEN)
    if name == CHANGE:
        if before is None:
            return None
        return _share(result.end, measure.SEEN) - _share(before, measure.SEEN)
    return _share(result.end, name)


def _share(counts: measure.Counts, name: str) -> float:
    points, possible = counts[name]
    return 100 * points / max(possible, 1e-9)


def lines(results: Sequence[Result]) -> list[Line]:
    """All measures of all arms."""
    found = []
    for name in MEASURES:
        by_arm = values(results, name)
        first = by_arm.get(FIRST, {})
        for arm, own in by_arm.items():
            both = sorted(own.keys() & first.keys())
            differs = arm != FIRST and name != BEFORE and bool(both)
            difference = Mean(tuple(own[s] - first[s] for s in both)) if differs else None
            found.append(Line(name, arm, Mean(tuple(own.values())), difference))
    return found


def verdict(found: Sequence[Line]) -> list[str]:
    """What the lines say about the claim, in sentences."""
    told = []
    for line in found:
        if line.measure == CHANGE:
            low, high = line.mean.interval
            told.append(
                f"{line.arm.capitalize()}: typed questions on pictures change by"
                f" {line.mean.value:+.1f} points when speech is added ({low:+.1f} to {high:+.1f})."
            )
    for line in found:
        if line.better is not None and line.measure != CHANGE:
            low, high = line.difference.interval if line.difference else (0.0, 0.0)
            word = "better" if line.better else "worse"
            told.append(
                f"{line.arm.capitalize()} is {word} than three stages at {line.measure}"
                f" ({low:+.1f} to {high:+.1f} points)."
            )
    return told
