"""Masks what could identify somebody in what was said: the view that is shown by default. Pure.

Found are phone numbers, card numbers, e-mail addresses and other long runs of digits, written or
spoken ("five five five, double oh…"), in English and Chinese. Names are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

DOT = "•"
LONGEST_PLAIN_RUN = 5
"""Digits in a row that may stay: opening hours, prices, short order numbers."""

# Bounded, so that a long word without an @ is not read again from each of its letters.
_EMAIL = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
    r"|\b[\w.+-]{1,64} at [\w-]{1,63} dot (?:com|org|net|io|co\w*)\b"
)
# Dates, opening hours and 1,200,000 come first: what they match is left as it is.
_DIGITS = re.compile(
    r"(?P<plain>\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4}"
    r"|\d{1,2}[.:]\d{2} ?[-–] ?\d{1,2}[.:]\d{2}|\d{1,3}(?:,\d{3})+(?!,\d))(?!\d))"
    r"|\+?\(?\d(?:(?:[ \-./()\u00a0]{0,2}|, ?)\d)*\)?"
)
_LISTED = frozenset({7, 10, 11, 16})
"""Digits of numbers that are told with commas between their groups; other counts are lists."""
_SPELLED = {
    "zero": 1, "oh": 1, "one": 1, "two": 1, "three": 1, "four": 1, "five": 1, "six": 1,
    "seven": 1, "eight": 1, "nine": 1, "nought": 1,
    "ten": 2, "eleven": 2, "twelve": 2, "thirteen": 2, "fourteen": 2, "fifteen": 2,
    "sixteen": 2, "seventeen": 2, "eighteen": 2, "nineteen": 2, "twenty": 2, "thirty": 2,
    "forty": 2, "fifty": 2, "sixty": 2, "seventy": 2, "eighty": 2, "ninety": 2,
    "double": 1, "triple": 2, "hundred": 2, "thousand": 3,
}  # fmt: skip
_WORD = r"(?:" + "|".join(sorted(_SPELLED, key=len, reverse=True)) + r"|o|\d)"
_SPOKEN = re.compile(
    # No word boundary: Chinese signs beside it are word characters too.
    rf"(?<![A-Za-z0-9]){_WORD}(?:[\s,.\-]+{_WORD}(?![A-Za-z0-9]))+",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"[零〇○一二三四五六七八九幺两](?:[\s,，、-]?[零〇○一二三四五六七八九幺两]){5,}"
)
_TWO_DIGIT_CODES = frozenset(
    [
        "20",
        "27",
        "30",
        "31",
        "32",
        "33",
        "34",
        "36",
        "39",
        "40",
        "41",
        "43",
        "44",
        "45",
        "46",
        "47",
        "48",
        "49",
        "51",
        "52",
        "53",
        "54",
        "55",
        "56",
        "57",
        "58",
        "60",
        "61",
        "62",
        "63",
        "64",
        "65",
        "66",
        "81",
        "82",
        "84",
        "86",
        "90",
        "91",
        "92",
        "93",
        "94",
        "95",
        "98",
    ]
)


def redact(text: str) -> str:
    """The text with everything masked that the rules find."""
    text = _EMAIL.sub(f"{DOT * 3}@{DOT * 3}", text)
    text = _DIGITS.sub(lambda found: found["plain"] or _written(found[0]), text)
    text = _SPOKEN.sub(lambda found: _spoken(found[0]), text)
    return _CHINESE.sub(DOT * 6, text)


def redact_turns(turns: Sequence[tuple[str, str]]) -> list[str]:
    """Texts of utterances, given as (who spoke, text), masked.

    A number that one side speaks in pieces, each too short to be found alone, is found in the
    pieces together.
    """
    masked = [redact(text) for _, text in turns]
    last: dict[str, int] = {}
    for index, (who, text) in enumerate(turns):
        before = last.get(who)
        if before is not None and _goes_on(turns[before][1], text):
            masked[before] = mask_all_digits(masked[before])
            masked[index] = mask_all_digits(masked[index])
        last[who] = index
    return masked


def mask_number(number: str) -> str:
    """A phone number that shows where it is from and its last two digits: `+1 555 ••• ••23`."""
    digits = re.sub(r"\D", "", number)
    if len(digits) < 5:
        return DOT * 3 if number else ""
    code = _country_code(digits) if number.strip().startswith("+") else ""
    national = digits[len(code) :]
    area = national[:3] if len(national) >= 9 else ""
    hidden = DOT * (len(national) - len(area) - 2) + national[-2:]
    return " ".join(part for part in (f"+{code}" if code else "", area, *_groups(hidden)) if part)


def redact_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    """An event's payload with its personal data masked: what lies under keys with `pii_`."""
    return {key: _redacted(key, value) for key, value in payload.items()}


def redact_json(text: str) -> str:
    """JSON text, such as a tool's arguments, with its strings and long numbers masked."""
    try:
        value = json.loads(text)
    except ValueError:
        return redact(text)
    return json.dumps(_redacted_value(value), ensure_ascii=False)


def mask_all_digits(text: str) -> str:
    """The text with every digit masked, written or spoken."""
    text = re.sub(r"\d", DOT, text)
    return re.sub(rf"\b{_WORD}\b", DOT, text, flags=re.IGNORECASE)


def _redacted(key: str, value: Any) -> Any:
    if not key.startswith("pii_"):
        if isinstance(value, dict):
            return redact_payload(value)
        return [_redacted("", item) for item in value] if isinstance(value, list) else value
    special = _BY_KEY.get(key)
    if special is not None and isinstance(value, str):
        return special(value)
    return _redacted_value(value)


def _redacted_value(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case bool() | None:
            return value
        case int() | float():
            shown = redact(str(value))
            return value if shown == str(value) else shown
        case Mapping():
            return {str(key): _redacted_value(item) for key, item in value.items()}
        case Iterable():
            return [_redacted_value(item) for item in value]
        case _:
            return DOT * 3


_BY_KEY = MappingProxyType(
    {
        "pii_from": mask_number,
        "pii_digit": lambda _: DOT,
        "pii_arguments": redact_json,
        "pii_result": redact_json,
    }
)


def _written(found: str) -> str:
    digits = re.sub(r"\D", "", found)
    card = 13 <= len(digits) <= 19 and luhn(digits)
    if "," in found and not (card or len(digits) in _LISTED):
        # A list: each of its numbers is looked at alone.
        return re.sub(r"[^,]+", lambda part: _number(part[0]), found)
    return _number(found)


def _number(found: str) -> str:
    digits = re.sub(r"\D", "", found)
    if len(digits) <= LONGEST_PLAIN_RUN:
        return found
    solid = found.strip().isdigit()
    if not solid and "+" not in found and len(digits) < 7:
        return found
    if 13 <= len(digits) <= 19 and luhn(digits):
        return f"{DOT * 4} {DOT * 4} {DOT * 4} {digits[-4:]}"
    if found.startswith("+"):
        return mask_number(found)
    return DOT * (len(digits) - 2) + digits[-2:]


def _spoken(found: str) -> str:
    return DOT * 6 if _spoken_digits(found) > LONGEST_PLAIN_RUN else found


def _spoken_digits(text: str) -> int:
    return sum(_SPELLED.get(word.casefold(), 1) for word in re.findall(r"\w+", text))


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others, as on a bank card."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _country_code(digits: str) -> str:
    if digits[0] in "17":
        return digits[0]
    return digits[:2] if digits[:2] in _TWO_DIGIT_CODES else digits[:3]


def _groups(text: str) -> list[str]:
    """Three signs each; a lone one at the end joins the group before."""
    parts = [text[at : at + 3] for at in range(0, len(text), 3)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [parts[-2] + parts[-1]]
    return parts


def _goes_on(before: str, text: str) -> bool:
    """Whether digits at the end of one text and at the start of the next are one long run."""
    piece = rf"(?:\d|\b{_WORD}\b)"
    tail = re.search(rf"({piece}(?:[\s,.\-]*{piece})*)[\s.,…-]*$", before, re.IGNORECASE)
    head = re.match(rf"[\s.,…-]*({piece}(?:[\s,.\-]*{piece})*)", text, re.IGNORECASE)
    if not tail or not head:
        return False
    counts = [
        sum(_SPELLED.get(word.casefold(), 1) for word in re.findall(r"[a-z]+|\d", part, re.I))
        for part in (tail[1], head[1])
    ]
    return min(counts) >= 2 and sum(counts) > LONGEST_PLAIN_RUN
