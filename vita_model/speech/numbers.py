"""Numbers in English words."""

from __future__ import annotations

ONES = [
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
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ((10**12, "trillion"), (10**9, "billion"), (1_000_000, "million"), (1_000, "thousand"))
ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """A whole number in words: 342 is `three hundred and forty two`."""
    if number < 0:
        return "minus " + cardinal(-number)
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f" {ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" and {cardinal(rest)}" if rest else "")
    for size, name in SCALES:
        if number >= size:
            head, rest = divmod(number, size)
            joint = " and " if 0 < rest < 100 else " "
            return f"{cardinal(head)} {name}" + (f"{joint}{cardinal(rest)}" if rest else "")
    raise AssertionError(number)


def ordinal(number: int) -> str:
    """`twenty third` for 23."""
    *head, last = cardinal(number).split()
    if last in ORDINALS:
        last = ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return " ".join([*head, last])


def digits(text: str) -> str:
    """Every digit by itself: `four eight two`."""
    return " ".join(ONES[int(c)] for c in text if c.isdigit())


def year(number: int) -> str:
    """`twenty twenty six`, `nineteen oh five`, `two thousand and four`."""
    head, rest = divmod(number, 100)
    if rest == 0 and head % 10:
        return f"{cardinal(head)} hundred"
    if 2000 <= number < 2010 or rest == 0:
        return cardinal(number)
    return f"{cardinal(head)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"
