"""Written English to spoken words: numbers, money, times, dates, digit strings, addresses.

The speech decoder reads words, the transcript shows what was written. Rules are ordered: the most
specific pattern is read first and leaves words behind that no later pattern touches.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vita_model.speech.forms import simplified
from vita_model.speech.numbers import cardinal, digits, ordinal, year

CURRENCIES = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
ABBREVIATIONS = {
    "mon": "monday",
    "tue": "tuesday",
    "tues": "tuesday",
    "wed": "wednesday",
    "thu": "thursday",
    "thur": "thursday",
    "thurs": "thursday",
    "fri": "friday",
    "sat": "saturday",
    "sun": "sunday",
    "st": "street",
    "rd": "road",
    "ave": "avenue",
    "blvd": "boulevard",
    "dr": "doctor",
    "mr": "mister",
    "mrs": "missus",
    "ms": "miz",
    "no": "no",
    "approx": "approximately",
    "appt": "appointment",
    "min": "minutes",
    "mins": "minutes",
    "hr": "hour",
    "hrs": "hours",
    "vs": "versus",
    "etc": "et cetera",
    "km": "kilometres",
    "kg": "kilograms",
}
_DOTTED = {"dr", "mr", "mrs", "ms", "st", "rd", "ave", "blvd", "approx", "etc", "vs", "no"}
_PLAIN = set(ABBREVIATIONS) - {"no", "sat", "sun", "st", "dr", "wed", "min", "ms", "fri", "mon"}


def _letters(text: str) -> str:
    """Letters by name; `eh` keeps the letter apart from the article."""
    return " ".join("eh" if letter in "aA" else letter for letter in text)


def _clock(match: re.Match[str]) -> str:
    hour, minute, half = match["hour"], match["minute"], (match["half"] or "").lower()
    words = cardinal(int(hour) if half == "" or int(hour) <= 12 else int(hour) - 12)
    if minute and int(minute):
        words += f" {'oh ' if int(minute) < 10 else ''}{cardinal(int(minute))}"
    elif minute and not half:
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if half:
        words += " " + _letters(half.replace(".", ""))
    return words


def _money(match: re.Match[str]) -> str:
    unit, part = CURRENCIES[match["sign"]]
    whole = int(match["whole"].replace(",", ""))
    words = f"{cardinal(whole)} {unit}{'' if whole == 1 else 's'}"
    cents = int((match["part"] or "0").ljust(2, "0")[:2])
    if not cents:
        return words
    many = "pence" if part == "penny" else "cents"
    small = f"{cardinal(cents)} {part if cents == 1 else many}"
    return f"{words} and {small}" if whole else small


def _number(match: re.Match[str]) -> str:
    text = match[0].replace(",", "")
    if "." in text:
        whole, part = text.split(".")
        return f"{cardinal(int(whole))} point {digits(part)}"
    if (text.startswith("0") and len(text) > 1) or (len(text) > 4 and "," not in match[0]):
        return digits(text)
    if len(text) == 4 and text[:2] in {"19", "20"}:
        return year(int(text))
    return cardinal(int(text))


def _phone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    return ("plus " if match[0].startswith("+") else "") + ", ".join(digits(g) for g in groups)


_MARKS = {
    "@": "at",
    ".": "dot",
    "-": "dash",
    "_": "underscore",
    "/": "slash",
    "?": "question mark",
    "=": "equals",
    "%": "percent",
}


def _address(match: re.Match[str]) -> str:
    text = match[0].lower().rstrip(".?")
    trail = match[0][len(text) :]
    text = re.sub(r"^(https?://)?(www\.)?", "", text)
    text = re.sub(r"(\d+)", lambda m: f" {digits(m[1])} ", text)
    for mark, word in _MARKS.items():
        text = text.replace(mark, f" {word} ")
    return text + trail


_ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+(\.[\w-]+)+|(https?://|www\.)[\w./?=&%+-]+"
    r"|\b[\w-]+\.(com|org|net|co\.uk|io|de|fr|cn|eu|app|dev|info)\b(/[\w./?=&%+-]*)?",
    re.I,
)
_MONTHS = "january february march april may june july august september october november december"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?P<sign>[$£€])\s?(?P<whole>\d[\d,]*)(\.(?P<part>\d{1,2}))?"), _money),
    (re.compile(r"(?<=[:.]\d\d)\s?[-–]\s?(?=\d)"), lambda _: " to "),
    (
        re.compile(
            r"\b(?P<hour>\d{1,2})([:.](?P<minute>\d{2}))?\s?(?P<half>[ap]\.m\.|[ap]m\b)", re.I
        ),
        _clock,
    ),
    (re.compile(r"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?P<half>)"), _clock),
    (
        re.compile(
            r"(?<![$£€\d.])\b(?P<hour>[01]?\d|2[0-3])\.(?P<minute>00|15|30|45)(?P<half>)\b"
            r"(?!\.?\d|\s?(?:%|percent|pounds?|euros?|dollars?|k[gm]|miles?|hours?|stars?))",
            re.I,
        ),
        _clock,
    ),
    (
        re.compile(
            r"\+\d[\d\s()-]{6,}\d|\(?\b\d{3}\)?[\s-]\d{3}[\s-]\d{4}\b|\b0\d{2,4}[\s-]\d{3}[\s-]?\d{3,4}\b|\b\d{3}-\d{4}\b"
        ),
        _phone,
    ),
    (re.compile(r"\b(\d{1,2})(st|nd|rd|th)\b", re.I), lambda m: ordinal(int(m[1]))),
    (
        re.compile(rf"\b({_MONTHS.replace(' ', '|')})\s+(\d{{1,2}})\b(?!:)", re.I),
        lambda m: f"{m[1]} {ordinal(int(m[2]))}",
    ),
    (re.compile(r"(\d)\s?%"), lambda m: f"{m[1]} percent"),
    (re.compile(r"\b(\d+)\s?[-–]\s?(?=\d)"), lambda m: f"{m[1]} to "),
    (re.compile(r"(?<=[a-z])\s?[–]\s?(?=[A-Za-z])"), lambda _: " to "),
    (re.compile(r"\b\d[\d,]*(\.\d+)?\b"), _number),
    (re.compile(r"\d+"), lambda m: " " + digits(m[0]) + " "),
)
_LETTERS = re.compile(r"\b(?!I\b|A\b)[A-Z]{1,4}\b(?!')")
_WORDS = {
    "OK": "okay",
    "ASAP": "as soon as possible",
    "WIFI": "wi fi",
    "NASA": "nasa",
    "NATO": "nato",
    "PIN": "pin",
    "SIM": "sim",
    "ZIP": "zip",
}


def spoken(text: str) -> str:
    """Words for the speech decoder: lower case, punctuation kept where it makes a pause.

    Args:
        text: One phrase as written, such as `We open at 9:30 am, it costs $35.`.

    Returns:
        `we open at nine thirty eh m, it costs thirty five dollars.`
    """
    text = simplified(_ADDRESS.sub(_address, text.replace("’", "'")))
    text = re.sub(r"[*_#`\"“”()\[\]]", " ", text)
    for pattern, rule in _RULES:
        text = pattern.sub(rule, text)
    text = re.sub(r"\b([A-Za-z]+)\.", _dotted, text)
    text = re.sub(
        r"\b[A-Za-z]+\b",
        lambda m: ABBREVIATIONS[m[0].lower()] if m[0].lower() in _PLAIN else m[0],
        text,
    )
    text = _LETTERS.sub(lambda m: _WORDS.get(m[0]) or _letters(m[0]), text)
    text = text.lower().replace("&", " and ").replace("wi-fi", "wi fi").replace("+", " plus ")
    text = re.sub(r"[-–—/]", " ", text)
    text = re.sub(r"[;:]", ",", text)
    text = re.sub(r"[^a-z',.?! ]", " ", text)
    text = re.sub(r"\s+([,.?!])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()


def _dotted(match: re.Match[str]) -> str:
    word = match[1].lower()
    return ABBREVIATIONS[word] if word in _DOTTED and word != "no" else match[0]
