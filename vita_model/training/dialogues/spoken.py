"""Turns numbers, times, dates and written text into the words a caller says."""

import random
import re
import unicodedata

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = (
    "zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth",
    "seventeenth", "eighteenth", "nineteenth", "twentieth",
)  # fmt: skip
_SYMBOLS = {"&": " and ", "@": " at ", "%": " percent ", "+": " plus "}


def number_words(value: int) -> str:
    """Cardinal words for 0 to 999,999: 125 is "one hundred and twenty five"."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10] + (f" {ONES[value % 10]}" if value % 10 else "")
    if value < 1000:
        rest = f" and {number_words(value % 100)}" if value % 100 else ""
        return f"{ONES[value // 100]} hundred{rest}"
    rest = f" {number_words(value % 1000)}" if value % 1000 else ""
    return f"{number_words(value // 1000)} thousand{rest}"


def ordinal_words(value: int) -> str:
    """Ordinal words for 1 to 31: 23 is "twenty third"."""
    if value <= 20:
        return ORDINALS[value]
    if value % 10 == 0:
        return "thirtieth"
    return f"{TENS[value // 10]} {ORDINALS[value % 10]}"


def words(text: str) -> str:
    """Written text as spoken words: lower case letters, apostrophes and single spaces."""
    text = unicodedata.normalize("NFKD", text.replace("\u2019", "'")).lower()
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    text = re.sub(r"\b0(?=\d)", "oh ", text)
    text = re.sub(r"\d+", lambda m: f" {number_words(int(m[0]))} ", text)
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"[^a-z']+", " ", text)
    return re.sub(r"(?<![a-z])'|'(?![a-z])", "", text).strip().replace("  ", " ")


def digit_words(digits: str, rng: random.Random) -> str:
    """A digit string read aloud, with "double", "triple" and "oh" as people use them."""
    zero = rng.choice(("zero", "oh"))
    repeats = rng.random() < 0.5
    if len(digits) in (4, 6) and rng.random() < 0.12:
        pairs = [digits[i : i + 2] for i in range(0, len(digits), 2)]
        if all(pair[0] != "0" and int(pair) >= 10 for pair in pairs):
            return " ".join(number_words(int(pair)) for pair in pairs)
    out: list[str] = []
    at = 0
    while at < len(digits):
        run = len(digits[at:]) - len(digits[at:].lstrip(digits[at]))
        word = zero if digits[at] == "0" else ONES[int(digits[at])]
        if repeats and run >= 3:
            out.append(f"triple {word}")
            at += 3
        elif repeats and run == 2:
            out.append(f"double {word}")
            at += 2
        else:
            out.append(word)
            at += 1
    return " ".join(out)


def time_words(hour: int, minute: int, rng: random.Random) -> str:
    """A clock time (24-hour numbers in) as a caller says it, always with am, pm or a day part."""
    twelve = hour % 12 or 12
    following = (hour + 1) % 12 or 12
    part = (
        rng.choice(("am", "in the morning"))
        if hour < 12
        else (rng.choice(("pm", "in the afternoon" if hour < 17 else "in the evening")))
    )
    forms = [f"{ONES[twelve]} {_minutes(minute)} {part}"] if minute else [f"{ONES[twelve]} {part}"]
    if minute == 0:
        forms.append(f"{ONES[twelve]} o'clock" + ("" if 8 <= hour <= 18 else f" {part}"))
        if hour == 12:
            forms += ["noon", "midday", "twelve noon"]
    if minute == 30:
        forms += [f"half past {ONES[twelve]} {part}", f"half {ONES[twelve]} {part}"]
        forms.append(f"half past {ONES[twelve]}" + ("" if 8 <= hour <= 18 else f" {part}"))
    if minute == 15:
        forms += [f"quarter past {ONES[twelve]} {part}", f"a quarter past {ONES[twelve]} {part}"]
    if minute == 45:
        forms += [f"quarter to {ONES[following]} {part}", f"a quarter to {ONES[following]} {part}"]
    if minute in (10, 20):
        forms.append(f"{ONES[minute] if minute == 10 else 'twenty'} past {ONES[twelve]} {part}")
    if minute in (40, 50):
        forms.append(f"{'twenty' if minute == 40 else 'ten'} to {ONES[following]} {part}")
    if 8 <= hour <= 18 and rng.random() < 0.35:
        return f"{ONES[twelve]} {_minutes(minute)}".strip() if minute else ONES[twelve]
    return rng.choice(forms)


def _minutes(minute: int) -> str:
    return f"oh {ONES[minute]}" if 0 < minute < 10 else number_words(minute)


def time_text(hour: int, minute: int) -> str:
    """A clock time as tools receive it: "10:30 am", "3 pm"."""
    half = "am" if hour < 12 else "pm"
    return f"{hour % 12 or 12}:{minute:02d} {half}" if minute else f"{hour % 12 or 12} {half}"


def spelled(text: str) -> str:
    """Letters and digits said one by one: "SW1" is "s w one"."""
    return " ".join(ONES[int(c)] if c.isdigit() else c.lower() for c in text if c.isalnum())


def as_typed(text: str, rng: random.Random) -> str:
    """A question pattern as a person types it: usually with capitals and a mark, not always."""
    text = re.sub(r"\s+", " ", text).strip()
    if rng.random() < 0.2:
        return text
    text = re.sub(r"\bi\b(?=[' ]|$)", "I", text)
    start = re.match(
        r"(?:(?:hi|hello|hey|okay|ok|sorry|um|so|and|oh|right|well|yeah|good morning|please),? )*"
        r"(what|when|where|who|how|which|why|is|are|am|do|does|did|can|could|would|will|may|any|"
        r"have|has|should|whereabouts|until)\b",
        text.lower(),
    )
    mark = "?" if start else rng.choice((".", ""))
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!" else mark)
