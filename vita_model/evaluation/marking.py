"""Marks replies: the same values, the same call, rightly silent, rightly ignorant; with intervals."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_VALUE = re.compile(r"[$£€]?\d[\d.,:]*\d?\s?(?:am|pm|%)?|\w+@[\w.]+|www\.[\w.]+", re.IGNORECASE)
_DECIDES = frozenset({"no", "not", "yes", "closed", "free", "out", "can't", "don't"})
_REFUSALS = ("don't have", "do not have", "don't know", "not sure", "no information")


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many were right."""

    right: int
    asked: int

    def __add__(self, other: Share) -> Share:
        """Both tests together."""
        return Share(self.right + other.right, self.asked + other.asked)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share; the whole range if nothing was asked."""
        n, z = self.asked, 1.96
        if not n:
            return 0.0, 1.0
        share = self.right / n
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        """`41 of 50 = 82 % (69 to 90)`."""
        if not self.asked:
            return "not asked"
        low, high = (round(100 * edge) for edge in self.interval)
        return f"{self.right} of {self.asked} = {100 * self.right / self.asked:.0f} % ({low} to {high})"


def values(text: str) -> frozenset[str]:
    """What an answer tells: numbers, times, prices, addresses, names, yes or no.

    Names are words with a capital that do not begin a sentence.
    """
    numbers = {found.lower().replace(" ", "").rstrip(".,:") for found in _VALUE.findall(text)}
    names = {
        word.lower()
        for sentence in re.split(r"[.?!]\s+", text)
        for word in re.findall(r"[A-Za-z']+", sentence)[1:]
        if word[:1].isupper() and word != "I"
    }
    decides = {word for word in re.findall(r"[a-z']+", text.lower()) if word in _DECIDES}
    return frozenset(numbers | names | decides)


def same_answer(wanted: str, got: str) -> bool:
    """Whether two answers tell the same; answers that hold no value must be the same words."""
    if is_refusal(wanted):
        return is_refusal(got)
    told = values(wanted)
    return told == values(got) if told else _plain(wanted) == _plain(got)


def is_refusal(text: str) -> bool:
    """Whether an answer says that the agent does not know."""
    return any(words in text.lower() for words in _REFUSALS)


def same_call(
    wanted: tuple[str, Mapping[str, object]], got: tuple[str, str] | None, *, free: frozenset[str]
) -> bool:
    """Whether a call (name, JSON text) is the one wanted; arguments in `free` may hold anything."""
    if got is None or got[0] != wanted[0]:
        return False
    try:
        arguments = json.loads(got[1])
    except ValueError:
        return False
    if not isinstance(arguments, dict) or set(arguments) != set(wanted[1]):
        return False
    return all(_plain(arguments[k]) == _plain(v) for k, v in wanted[1].items() if k not in free)


def _plain(value: object) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[^\w@.: ]", "", str(value))).strip().lower().rstrip(".")
