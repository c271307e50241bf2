"""How much of what is personal is masked, and how much of what is not: some hundred sayings."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from agent.transcripts.redact import DOT, redact

pytestmark = pytest.mark.unit

ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CHINESE = "零一二三四五六七八九"


def digits(rng: random.Random, count: int) -> str:
    return str(rng.randint(2, 9)) + "".join(str(rng.randint(0, 9)) for _ in range(count - 1))


def spelled(number: str, join: str = " ") -> str:
    return join.join(ENGLISH[int(digit)] for digit in number)


def grouped(number: str, sizes: tuple[int, ...], join: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return join.join(parts)


def card(rng: random.Random) -> str:
    number = "4" + digits(rng, 14)
    odd = [int(digit) for digit in number[1::2]]
    even = [sum(divmod(2 * int(digit), 10)) for digit in number[0::2]]
    return number + str(-(sum(odd) + sum(even)) % 10)


def doubled(number: str) -> str:
    words, at = [], 0
    while at < len(number):
        pair = at + 1 < len(number) and number[at] == number[at + 1]
        words.append(("double " if pair else "") + ENGLISH[int(number[at])])
        at += 2 if pair else 1
    return " ".join(words)


SECRETS: list[Callable[[random.Random], str]] = [
    lambda rng: digits(rng, 10),
    lambda rng: "+44" + digits(rng, 10),
    lambda rng: f"+1 {grouped(digits(rng, 10), (3, 3, 4), ' ')}",
    lambda rng: grouped(digits(rng, 10), (3, 3, 4), "-"),
    lambda rng: grouped(digits(rng, 10), (3, 3, 4), "."),
    lambda rng: grouped(digits(rng, 10), (3, 3, 4), ", "),
    lambda rng: "({}) {}-{}".format(*(digits(rng, n) for n in (3, 3, 4))),
    lambda rng: grouped(digits(rng, 7), (3, 4), " "),
    lambda rng: " ".join(digits(rng, 10)),
    lambda rng: grouped(card(rng), (4, 4, 4, 4), " "),
    lambda rng: grouped(card(rng), (4, 4, 4, 4), "-"),
    lambda rng: digits(rng, 8),
    lambda rng: spelled(digits(rng, 10)),
    lambda rng: spelled(digits(rng, 7), ", "),
    lambda rng: doubled(digits(rng, 10)),
    lambda rng: spelled(digits(rng, 6)).replace("zero", "oh"),
    lambda rng: f"{rng.choice(['ann', 'bob.lee', 'c-d'])}@{rng.choice(['a.com', 'mail.co.uk'])}",
    lambda rng: f"{rng.choice(['ann', 'bob'])} at example dot com",
    lambda rng: "".join(CHINESE[int(digit)] for digit in digits(rng, 11)),
]
AROUND = [
    "My number is {}.",
    "It's {}, thanks",
    "{}",
    "Call {} after five please",
    "我的号码是{}。",
]
HARMLESS = [
    "We open at {h} thirty and close at five.",
    "Open {h}:30-17:30, on Saturday 9.00-12.30",
    "It costs ${p}, or {p} pounds with tax.",
    "Order {o} is on its way.",
    "Come on 2026-0{d}-1{d} at 1{d}:30.",
    "Between {d} and {h} people, one or two children",
    "The {d} nearest are 10, 20 and 30 minutes away.",
    "Room {o}, floor {d}, 14 Mill Lane",
    "In 1998, 2005 and 2019 we moved.",
    "More than 1,200,000 callers a year",
    "It is one of the three best, and two of four say so.",
    "我想预约星期{z}上午{z}点",
    "一共{p}元，第{d}号",
    "He scored {d} to {h}, then 3.5 percent.",
]


def harmless(rng: random.Random) -> str:
    return rng.choice(HARMLESS).format(
        h=rng.randint(7, 12),
        p=rng.choice(["80", "1,200", "19.99", "350"]),
        o=digits(rng, rng.randint(2, 5)),
        d=rng.randint(1, 9),
        z=rng.choice("一二三四五"),
    )


def sayings(rng: random.Random) -> Iterator[tuple[str, str]]:
    for _ in range(40):
        for make in SECRETS:
            secret = make(rng)
            yield secret, rng.choice(AROUND).format(secret)


def test_nearly_all_that_is_personal_is_masked():
    missed = []
    total = 0
    for secret, text in sayings(random.Random(7)):
        total += 1
        if secret in redact(text) or DOT not in redact(text):
            missed.append(text)
    assert total > 700
    assert len(missed) <= 0.02 * total, missed[:20]


def test_hardly_anything_else_is():
    rng = random.Random(7)
    texts = [harmless(rng) for _ in range(700)]
    changed = [text for text in texts if redact(text) != text]
    assert len(changed) <= 0.02 * len(texts), changed[:20]
