"""Rarer written forms of English, said in words or in forms that `vita_model.speech.text` reads.

Dates, amounts, fractions, units, telephone numbers, abbreviations. Rules are tried in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from vita_model.speech.numbers import cardinal, digits, ordinal, year

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_SHORT_MONTHS = {month[:3].capitalize(): month for month in MONTHS} | {"Sept": "september"}
_SHORT_MONTHS.pop("May")
DAYS = {
    "Mon": "monday",
    "Tue": "tuesday",
    "Tues": "tuesday",
    "Wed": "wednesday",
    "Thu": "thursday",
    "Thur": "thursday",
    "Thurs": "thursday",
    "Fri": "friday",
    "Sat": "saturday",
    "Sun": "sunday",
}
UNITS = {
    "km/h": "kilometres per hour",
    "mph": "miles per hour",
    "km": "kilometres",
    "cm": "centimetres",
    "mm": "millimetres",
    "m²": "square metres",
    "m": "metres",
    "kg": "kilograms",
    "mg": "milligrams",
    "g": "grams",
    "ml": "millilitres",
    "cl": "centilitres",
    "l": "litres",
    "lbs": "pounds",
    "lb": "pounds",
    "oz": "ounces",
    "ft": "feet",
    "kWh": "kilowatt hours",
    "kW": "kilowatts",
    "GB": "gigabytes",
    "MB": "megabytes",
    "TB": "terabytes",
    "min": "minutes",
}
_CODES = {"USD": "$", "EUR": "€", "GBP": "£"}
_SCALED = {"$": "dollars", "£": "pounds", "€": "euros"}
_SCALES = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion", "b": "billion"}
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 8: "eighth", 10: "tenth"}
_VULGAR = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8)}
_ROMAN = {"I": 1, "V": 5, "X": 10}
_TITLES = {
    "prof": "professor",
    "ext": "extension",
    "dept": "department",
    "tel": "telephone",
    "jr": "junior",
    "sr": "senior",
}
_FINAL = r"(?=[.,;!?)]*(?:\s|$))"


def number(text: str) -> str:
    """An amount with optional commas and decimals: `1,250.5`."""
    whole, _, part = text.replace(",", "").partition(".")
    return cardinal(int(whole)) + (f" point {digits(part)}" if part else "")


def _fraction(over: int, under: int) -> str:
    part = _PARTS[under]
    if over > 1:
        part = "halves" if part == "half" else part + "s"
    return f"{cardinal(over)} {part}"


def _vulgar(match: re.Match[str]) -> str:
    part = _fraction(*_VULGAR[match[2]])
    if not match[1]:
        return part
    return f"{cardinal(int(match[1]))} and {part.replace('one ', 'a ')} "


def _slashed(match: re.Match[str]) -> str:
    over, under = int(match[1]), int(match[2])
    return _fraction(over, under) if under in _PARTS and 0 < over < under else match[0]


def _date(first: int, second: int, of: int, whole: str, *, day_first: bool) -> str:
    day, month = (first, second) if day_first or first > 12 else (second, first)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return whole
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(of)}"


def _american(match: re.Match[str]) -> str:
    return _date(int(match[1]), int(match[2]), int(match[3]), match[0], day_first=False)


def _dotted_date(match: re.Match[str]) -> str:
    return _date(int(match[1]), int(match[2]), int(match[3]), match[0], day_first=True)


def _iso(match: re.Match[str]) -> str:
    return _date(int(match[3]), int(match[2]), int(match[1]), match[0], day_first=True)


def _day_of_month(match: re.Match[str]) -> str:
    words = f"the {ordinal(int(match['day']))} of {match['month']}"
    return f"{words} {year(int(match['year']))}" if match["year"] else words


def _decade(match: re.Match[str]) -> str:
    tens = cardinal(int(match[2]) * 10)
    plural = tens[:-1] + "ies" if match[2] != "0" else ""
    if match[2] == "1":
        plural = "tens"
    if not match[1]:
        return plural or match[0]
    century = int(match[1])
    if match[2] == "0":
        return "two thousands" if century == 20 else f"{cardinal(century)} hundreds"
    return f"{cardinal(century)} {plural}"


def _scaled(match: re.Match[str]) -> str:
    scale = match["scale"].lower()
    return f"{number(match['amount'])} {_SCALES.get(scale, scale)} {_SCALED[match['sign']]}"


def _unit(match: re.Match[str]) -> str:
    name = UNITS[match["unit"]]
    if match["amount"] == "1":
        name = "foot" if name == "feet" else re.sub(r"s\b(?=$| per)", "", name)
    return f"{match['amount']} {name}"


def _degrees(match: re.Match[str]) -> str:
    scale = {"C": " celsius", "F": " fahrenheit"}.get(match[2] or "", "")
    if match[0].endswith("℃"):
        scale = " celsius"
    return f"{match[1]} degree{'' if match[1] == '1' else 's'}{scale}"


def _groups(match: re.Match[str]) -> str:
    start = "plus " if match[0].startswith("+") else ""
    return start + ", ".join(digits(group) for group in re.findall(r"\d+", match[0]))


def _week(match: re.Match[str]) -> str:
    names = re.sub(r"[A-Z][a-z]+\.?", lambda day: DAYS[day[0].rstrip(".")], match[0])
    rest = match.string[match.end() :].lstrip()
    ends = match[0].endswith(".") and (not rest or rest[0].isupper())
    return re.sub(r"\s?[-–]\s?", " to ", names) + ("." if ends else "")


def _saint(match: re.Match[str]) -> str:
    before = match.string[: match.start()].split()
    street = bool(before) and before[-1][:1].isupper() and before[-1][-1] not in ".,;:!?"
    return match[0] if street or (before and before[-1][0].isdigit()) else "saint "


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    later = [*values[1:], 0]
    return sum(-one if one < two else one for one, two in zip(values, later, strict=True))


_SHORT = "|".join(sorted(_SHORT_MONTHS, key=len, reverse=True))
_DAY = r"(?:" + "|".join(sorted(DAYS, key=len, reverse=True)) + r")\b\.?"
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_MONTH = "|".join(month.capitalize() for month in MONTHS)
_AMOUNT = r"\d[\d,]*(?:\.\d+)?"

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _words(words: Mapping[str, str], pattern: str) -> Rule:
    return re.compile(pattern, re.I), lambda match: words[match[1].lower()]


_RULES: tuple[Rule, ...] = (
    (re.compile(r"(?:(\d+)\s?)?([½¼¾⅓⅔⅛])"), _vulgar),
    (re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b"), _iso),
    (re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b"), _american),
    (re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b"), _dotted_date),
    (re.compile(r"\(\d{3}\)\s?\d{3}[-.\s]\d{4}\b"), _groups),
    (re.compile(r"(?:\+?\b1[-.\s])?\b\d{3}\.\d{3}\.\d{4}\b|\b1-\d{3}-\d{3}-\d{4}\b"), _groups),
    (re.compile(r"\b0\d{2,4}\s\d{3,4}\s\d{3,4}\b"), _groups),
    (
        re.compile(rf"(?<=\bcall\s)\d{{3,6}}{_FINAL}|(?<=\bdial\s)\d{{3,6}}\b", re.I),
        lambda match: digits(match[0]),
    ),
    (
        re.compile(r"\b(end(?:s|ing)? (?:in|with)) (\d{3,})\b", re.I),
        lambda match: f"{match[1]} {digits(match[2])}",
    ),
    (re.compile(r"#(\d{3,})\b"), lambda match: f"number {digits(match[1])}"),
    (re.compile(r"#(\d{1,2})\b|\bNo\. ?(?=\d)"), lambda match: f"number {match[1] or ''}"),
    (re.compile(rf"\b({_SHORT})\b\.?(?=\s+\d{{1,2}}\b)"), lambda m: _SHORT_MONTHS[m[1]]),
    (
        re.compile(rf"\b({_SHORT})\b\.?(?=\s+\d{{1,2}}(?:st|nd|rd|th)\b)"),
        lambda m: _SHORT_MONTHS[m[1]],
    ),
    (re.compile(rf"(?<=\d )({_SHORT})\b\.?"), lambda m: _SHORT_MONTHS[m[1]].capitalize()),
    (
        re.compile(
            rf"\b(?:the )?(?P<day>\d{{1,2}}) (?P<month>{_MONTH})\b(?: (?P<year>\d{{4}})\b)?"
        ),
        _day_of_month,
    ),
    (re.compile(rf"\b{_DAY}(?:(?:\s?[-–,&]\s?|\sto\s|\sand\s){_DAY})+"), _week),
    (re.compile(r"\b(Mon|Tues?|Wed|Thu|Fri|Sat|Sun)\.?(?=\s+\d)"), lambda m: DAYS[m[1]]),
    (re.compile(r"\b(\d{2})(\d)0s\b"), _decade),
    (re.compile(r"(?<!\w)'()(\d)0s\b"), _decade),
    (re.compile(r"\b(\d{3,})(?:st|nd|rd|th)\b"), lambda match: ordinal(int(match[1]))),
    (re.compile(r"(?:(?<=\s)|^)[-−](?=[$£€]?\d)"), lambda _: "minus "),
    (
        re.compile(
            rf"(?P<sign>[$£€])\s?(?P<amount>{_AMOUNT})\s?"
            r"(?P<scale>thousand|million|billion|trillion|k|mn?|bn|b)\b",
            re.I,
        ),
        _scaled,
    ),
    (re.compile(rf"\b(USD|EUR|GBP) ?(?={_AMOUNT})"), lambda match: _CODES[match[1]]),
    (re.compile(rf"\b({_AMOUNT}) ?(USD|EUR|GBP)\b"), lambda m: _CODES[m[2]] + m[1]),
    (re.compile(rf"(?<![$£€\d])({_AMOUNT}) ?([€£])(?!\d)"), lambda match: match[2] + match[1]),
    (re.compile(rf"[¥￥] ?({_AMOUNT})"), lambda match: f"{number(match[1])} yen"),
    (re.compile(r"\b(\d{1,2}) ?¢"), lambda match: f"{cardinal(int(match[1]))} cents"),
    (re.compile(r"\b(\d{1,2})p\b"), lambda match: f"{cardinal(int(match[1]))} pence"),
    (re.compile(r"(\d+) ?(?:°([CF])?|℃)(?![A-Za-z])"), _degrees),
    (
        re.compile(r"\b(\d+) ?ft ?(\d+) ?in\b\.?(?=(\s[a-z])?)"),
        lambda match: f"{match[1]} feet {match[2]} inches" + ("" if match[3] else "."),
    ),
    (
        re.compile(rf"(?<![\d.,$£€])(?P<amount>{_AMOUNT}) ?(?P<unit>{_UNIT})(?![\w²/])"),
        _unit,
    ),
    (
        re.compile(r"\b(\d+\.\d+)/(\d+)\b"),
        lambda match: f"{number(match[1])} out of {number(match[2])}",
    ),
    (re.compile(r"(?<![\d/.])(\d{1,2})/(\d{1,2})(?![\d/])"), _slashed),
    (
        re.compile(r"(?<=[ap]m)\s?[-–]\s?(?=\d)|(?<=[ap]\.m\.)\s?[-–]\s?(?=\d)", re.I),
        lambda _: " to ",
    ),
    (
        re.compile(r"\b(\d{1,2}):(\d)(?!\d)"),
        lambda match: f"{cardinal(int(match[1]))} to {cardinal(int(match[2]))}",
    ),
    (re.compile(r"(?<=\d)\s?=\s?(?=\d)"), lambda _: " equals "),
    (re.compile(r"(?<=\d)\s?[x×]\s?(?=\d)"), lambda _: " by "),
    (re.compile(r"(?<=\d)\s?[÷]\s?(?=\d)"), lambda _: " divided by "),
    (
        re.compile(
            r"\b(Chapter|Part|Section|Phase|War|Type|Volume|Act|Level|Article) ([IVX]+)\b",
        ),
        lambda match: f"{match[1]} {cardinal(_roman(match[2]))}",
    ),
    (
        re.compile(
            r"\b(Henry|Louis|George|Elizabeth|Charles|Edward|James|William|Philip|Richard|Pius) ([IVX]+)\b",
        ),
        lambda match: f"{match[1]} the {ordinal(_roman(match[2]))}",
    ),
    (re.compile(r"\be\.g\.,?", re.I), lambda _: "for example"),
    (re.compile(r"\bi\.e\.,?", re.I), lambda _: "that is"),
    _words(_TITLES, rf"\b({'|'.join(_TITLES)})\.(?=\s)"),
    (re.compile(r"\bSt\.? (?=[A-Z])"), _saint),
    (re.compile(r"\bWi-?Fi\b"), lambda _: "wi fi"),
    (re.compile(r"(?<!\S)@(?=\w)"), lambda _: "at "),
)


def simplified(text: str) -> str:
    """Text with its rarer forms put into words; what is plain stays as it is."""
    for pattern, rule in _RULES:
        text = pattern.sub(rule, text)
    return text
