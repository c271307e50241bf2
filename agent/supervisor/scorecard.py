"""A scorecard: what is looked at in a call, and how much each item counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from agent.errors import InvalidRequestError

Scale = Literal["stars", "yes_no"]

HIGHEST = MappingProxyType({"stars": 5, "yes_no": 1})
LOWEST = MappingProxyType({"stars": 1, "yes_no": 0})


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """One question about a call.

    Attributes:
        key: Short name, the same in every version that asks the same.
        question: As the reviewer reads it.
        scale: `stars` from 1 to 5, or `yes_no` as 1 or 0.
        weight: How much it counts beside the others.
    """

    key: str
    question: str
    scale: Scale = "stars"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A set of questions under a name. A version never changes; a change is a new version."""

    name: str
    version: int
    items: tuple[ScoreItem, ...]

    def total(self, values: Mapping[str, int]) -> float:
        """The weighted score from 0 (all at their lowest) to 100, one decimal.

        Raises:
            InvalidRequestError: A question is unanswered or unknown, or an answer off its scale.
        """
        known = {item.key for item in self.items}
        for key in sorted(values.keys() ^ known):
            problem = "has no answer" if key in known else "is not on this scorecard"
            raise InvalidRequestError(f"The item {key} {problem}: {self.name} asks {_list(known)}.")
        reached = possible = 0.0
        for item in self.items:
            low, high, value = LOWEST[item.scale], HIGHEST[item.scale], values[item.key]
            if not low <= value <= high:
                raise InvalidRequestError(
                    f"The item {item.key} takes {low} to {high}, not {value}."
                )
            reached += item.weight * (value - low) / (high - low)
            possible += item.weight
        return round(100 * reached / possible, 1)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


DEFAULT = Scorecard(
    name="Call quality",
    version=1,
    items=(
        ScoreItem("understood", "The agent understood what the caller wanted", weight=2),
        ScoreItem("correct", "What the agent said was right", weight=3),
        ScoreItem("tone", "The agent was friendly and to the point"),
        ScoreItem("disclosed", "The caller was told that an assistant answers", "yes_no"),
        ScoreItem("solved", "The caller got what they called for", "yes_no", weight=3),
    ),
)
"""What calls are reviewed by until an installation brings its own."""


def checked(name: str, items: Sequence[ScoreItem]) -> str:
    """The name of a scorecard that can be used.

    Raises:
        InvalidRequestError: It has no name or no items, or an item will not do.
    """
    title = name.strip()
    if not 1 <= len(title) <= 80:
        raise InvalidRequestError("A scorecard needs a name of at most 80 characters.")
    if not 1 <= len(items) <= 40:
        raise InvalidRequestError("A scorecard has 1 to 40 items.")
    keys = [item.key for item in items]
    if len(set(keys)) < len(keys) or not all(key.isidentifier() for key in keys):
        raise InvalidRequestError("Each item needs a key of its own, of letters, digits and _.")
    for item in items:
        if item.scale not in HIGHEST or not item.question.strip() or not 0 < item.weight <= 100:
            raise InvalidRequestError(
                f"The item {item.key} needs a question, a weight above 0, and a scale: "
                f"{' or '.join(HIGHEST)}."
            )
    return title
