"""Reads from a line's facts what a right answer has to say, and finds it in an answer.

Facts and answers are compared as sets of tokens: times of day in one form ("9 am", "9:00",
"nine in the morning" all become 09:00), numbers as digits, words without those that carry nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

_EMPTY = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "was",
        "be",
        "we",
        "our",
        "us",
        "you",
        "your",
        "it",
        "its",
        "i",
        "of",
        "on",
        "in",
        "at",
        "to",
        "from",
        "for",
        "and",
        "or",
        "with",
        "by",
        "do",
        "does",
        "until",
        "till",
        "through",
        "till",
        "per",
        "each",
        "that",
        "this",
        "there",
        "here",
        "can",
        "yes",
        "open",
        "opens",
        "opening",
        "hour",
        "hours",
        "day",
        "days",
        "daily",
        "every",
        "week",
        "weekday",
        "weekdays",
        "weekend",
        "weekends",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "mon",
        "tue",
        "tues",
        "wed",
        "thu",
        "thur",
        "thurs",
        "fri",
        "sat",
        "sun",
    ]
)
_TIME = re.compile(
    r"\b(?P<hour>[01]?\d|2[0-3])(?:[:.](?P<minute>[0-5]\d))?\s*(?P<half>am|pm|o'clock)\b"
    r"|\b(?P<hour24>[01]?\d|2[0-3]):(?P<minute24>[0-5]\d)\b"
)
_TOKEN = re.compile(r"\d\d:\d\d|\d+(?:\.\d+)?|[^\W\d_]+(?:'[^\W\d_]+)*")
_CLOCK = re.compile(r"\d\d:\d\d")


def find_fact(facts: Sequence[str], words: Sequence[str]) -> str:
    """The fact that mentions the first of `words` any fact mentions; empty if there is none."""
    for word in words:
        mention = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
        for fact in facts:
            if mention.search(fact):
                return fact
    return ""


def expected_tokens(fact: str, says: Literal["opening", "all"]) -> tuple[str, ...]:
    """What an answer from this fact has to hold, in the fact's order.

    In `label: value` only the value counts. Where no time is named, `opening` is `all`.
    """
    label, colon, value = fact.partition(": ")
    tokens = tuple(dict.fromkeys(_tokens(value if colon else label)))
    times = tuple(token for token in tokens if _CLOCK.fullmatch(token))
    return times[:1] if says == "opening" and times else tokens


def missing_tokens(answer: str, expected: Sequence[str]) -> tuple[str, ...]:
    """Which of the expected tokens an answer lacks."""
    said = set(_tokens(answer))
    return tuple(token for token in expected if token not in said)


def _tokens(text: str) -> list[str]:
    text = text.lower().replace("’", "'")
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = _digits(text)
    text = re.sub(r"\bnoon\b|\bmidday\b", "12:00", text)
    text = re.sub(r"\bmidnight\b", "00:00", text)
    text = re.sub(r"\b(\d+) (\d\d) (am|pm)\b", r"\1:\2 \3", text)
    found = _TOKEN.findall(_TIME.sub(_clock, text))
    return [token for token in found if token not in _EMPTY]


def _clock(time: re.Match[str]) -> str:
    hour = int(time["hour"] or time["hour24"])
    minute = int(time["minute"] or time["minute24"] or 0)
    if time["half"] in ("am", "pm"):
        hour = hour % 12 + (12 if time["half"] == "pm" else 0)
    return f"{hour:02d}:{minute:02d}"


def _digits(text: str) -> str:
    """Number words below one hundred as digits."""
    for ten, word in enumerate(_TENS, start=2):
        for one, unit in enumerate(_NUMBERS[1:10], start=1):
            text = re.sub(rf"\b{word}[ -]{unit}\b", str(10 * ten + one), text)
        text = re.sub(rf"\b{word}\b", str(10 * ten), text)
    for number, word in enumerate(_NUMBERS):
        text = re.sub(rf"\b{word}\b", str(number), text)
    return text
