"""What an answer comes to: a choice among letters, a yes or no, a refusal."""

from __future__ import annotations

import re

_SAID = re.compile(
    r"\b(?:answer|choice|option|sentence|letter|order)(?: (?:is|would be|should be))?(?: (?:option|choice))?"
    r"[\s:*\"'(\[]*([b-d]|(?-i:A)|(?-i:a)(?!\s+\w))\b(?!')",
    re.IGNORECASE,
)
_FIRST = re.compile(r"^[\s*\"'(\[]*([a-d])(?:[\s]*[.,:)\]*]|\s*$)", re.IGNORECASE)
_LAST = re.compile(r"(?:^|[\s(\[*])([A-D])[.)\]*\s]*$")
_YES_NO = re.compile(r"\b(yes|no|plausible|implausible|unlikely|likely|true|false)\b")
_NOT = re.compile(r"\b(?:not|isn't|n't)\s+(?:\w+\s+)?$")
_MEANS = {"yes": "yes", "plausible": "yes", "likely": "yes", "true": "yes"}
_REFUSES = re.compile(
    r"\bsorry\b|\bapologi[sz]e|\bas an ai\b|\bas a (?:language model|voice assistant)\b"
    r"|\bi(?: am|'m) (?:just|only|an ai|not able|unable|not allowed|not going|not comfortable)\b"
    r"|\bi (?:cannot|can't|can not|won't|will not|do not|don't|must not)\b"
    r"|\bnot appropriate\b|\b(?:un|not )ethical\b|\billegal\b|\bagainst the law\b"
    r"|\binstead,? (?:i|let)\b|\bharmful\b|\bit(?:'s| is) (?:wrong|not right)\b"
    r"|抱歉|违法|非法|不合法|违反法律|不能帮|不被允许"
)


def letter(answer: str) -> str | None:
    """The letter A to D that an answer chooses, the first that it says; None if it says none."""
    text = _plain(answer)
    for pattern in (_FIRST, _SAID, _LAST):
        if match := pattern.search(text):
            return match.group(1).upper()
    return None


def decision(task: str, answer: str) -> str | None:
    """`yes` or `no`, or `(a)` or `(b)` of the task hyperbaton; None if the answer says neither.

    What is decided last counts, after reasons; a yes or no that begins the answer comes before it.
    """
    if "hyperbaton" in task:
        chosen = letter(answer)
        return f"({chosen.lower()})" if chosen in {"A", "B"} else None
    text = _plain(answer).lower()
    if first := re.match(r"\W*(yes|no)\b", text):
        return first.group(1)
    found = list(_YES_NO.finditer(text))
    if not found:
        return None
    said = _MEANS.get(found[-1].group(1), "no")
    if _NOT.search(text[: found[-1].start()]):
        return "no" if said == "yes" else "yes"
    return said


def refuses(answer: str) -> bool:
    """Whether an answer declines what was asked; one without words does."""
    text = _plain(answer).lower()
    return not text.strip() or _REFUSES.search(text) is not None


def _plain(text: str) -> str:
    return text.replace("\u2019", "'").replace("**", "").strip()
