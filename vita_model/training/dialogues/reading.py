"""What is read aloud to teach the listener: a wider mixture than what callers ask.

Every kind of word must come in many neighbourhoods and voices, so next to callers' lines it holds
digit strings, bare answers, corrections, names, prices, dates, agents' sentences, questions about
pictures and strings of unrelated words.
"""

import random
from collections.abc import Callable, Sequence

from vita_model.training.dialogues.asking import draw, phrase, text_value
from vita_model.training.dialogues.model import Split
from vita_model.training.dialogues.patterns import load
from vita_model.training.dialogues.pictures import picture_turn, random_picture
from vita_model.training.dialogues.sampler import sample_reply, sample_turn
from vita_model.training.dialogues.spoken import digit_words, number_words, ordinal_words, words
from vita_model.training.dialogues.values import (
    ARGUMENTS,
    DAYS,
    MAKERS,
    MONTHS,
    Value,
    digits,
    price,
)

COLOURS = ("red", "green", "blue", "yellow", "black", "white", "orange", "purple", "pink", "brown", "grey")  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "diamond", "arrow", "moon", "ring")  # fmt: skip
_BARE = (
    "day", "time", "daytime", "person", "people", "email", "street", "accept", "decline", "phone",
    "postcode", "stock", "service", "day", "time", "accept", "decline", "people",
)  # fmt: skip
_NAMES = ("first", "last", "town", "brand", "languages", "cards", "holiday", "topic")


def sample_reading(rng: random.Random, split: Split, common: Sequence[str]) -> str:
    """One utterance in spoken words. `common` holds frequent English words, most frequent first."""
    makers: list[tuple[float, Callable[[], str]]] = [
        (0.42, lambda: sample_turn(rng, split).said),
        (0.10, lambda: _digits(rng, split)),
        (0.10, lambda: _bare(rng, split)),
        (0.04, lambda: _correction(rng, split)),
        (0.06, lambda: _numbers(rng, split)),
        (0.05, lambda: _names(rng, split)),
        (0.04, lambda: _picture(rng, split)),
        (0.06, lambda: words(sample_reply(rng, split))),
        (0.06, lambda: _shuffled(rng, split)),
        (0.07, lambda: _unrelated(rng, common)),
    ]
    while True:
        said = rng.choices([m for _, m in makers], [w for w, _ in makers])[0]()
        if said and len(said.split()) <= 24:
            return said


def _digits(rng: random.Random, split: Split) -> str:
    value = ARGUMENTS["digits"](rng, split)
    if rng.random() < 0.6:
        return digit_words(digits(rng, 1, 10), rng)
    return phrase(draw(rng, "slot_digits", load("slots")["digits"], split)[1], {"v": value}, rng)[0]


def _bare(rng: random.Random, split: Split) -> str:
    kind = rng.choice(_BARE)
    values = {"day": ARGUMENTS["day"](rng, split), "time": ARGUMENTS["time"](rng, split)}
    if kind in ARGUMENTS:
        values["v"] = ARGUMENTS[kind](rng, split)
        if rng.random() < 0.5:
            return values["v"].spoken
    section = kind if kind in {"accept", "decline"} else f"slot_{kind}"
    return phrase(draw(rng, section, load("slots")[kind], split)[1], values, rng)[0]


def _correction(rng: random.Random, split: Split) -> str:
    kind = rng.choice(("fix_digit", "fix_day", "fix_time", "fix_all"))
    base = {"fix_all": "digits"}.get(kind, kind.removeprefix("fix_"))
    values: dict[str, Value] = {}
    if base in ARGUMENTS:
        values |= {"v": ARGUMENTS[base](rng, split), "bad": ARGUMENTS[base](rng, split)}
    good, bad = rng.sample("123456789", 2)
    values |= {"good": text_value(good), "bad": values.get("bad", text_value(bad))}
    return phrase(draw(rng, kind, load("slots")[kind], split)[1], values, rng)[0]


def _numbers(rng: random.Random, split: Split) -> str:
    value = rng.choice((rng.randint(0, 99), rng.randint(100, 999), rng.randint(1000, 9999)))
    day, number = rng.choice(DAYS).lower(), ordinal_words(rng.randint(1, 31))
    return rng.choice((
        number_words(value),
        words(price(rng, split)),
        f"{day} the {number}",
        f"the {number} of {rng.choice(MONTHS).lower()}",
        f"{rng.choice(MONTHS).lower()} {number}",
        f"{number_words(rng.randint(2, 60))} {rng.choice(('minutes', 'days', 'hours', 'people', 'percent', 'weeks', 'months', 'dollars', 'pounds', 'euros', 'years'))}",
        f"{ARGUMENTS['time'](rng, split).spoken} {rng.choice(('', 'on ', 'this ', 'next '))}{day}",
    ))  # fmt: skip


def _names(rng: random.Random, split: Split) -> str:
    parts = [words(MAKERS[rng.choice(_NAMES)](rng, split)) if kind != "street"
             else ARGUMENTS["street"](rng, split).spoken
             for kind in rng.choices(("name", "street"), (4, 1), k=rng.randint(1, 3))]  # fmt: skip
    opener = rng.choice(
        ("", "", "my name is ", "it's ", "this is ", "for ", "with ", "in ", "from ")
    )
    return opener + rng.choice((" ", " and ", " ")).join(parts)


def _picture(rng: random.Random, split: Split) -> str:
    if rng.random() < 0.5:
        return picture_turn(rng, split, random_picture(rng)).said
    colour, shape = rng.choice(COLOURS), rng.choice(SHAPES)
    return rng.choice((colour, shape, f"a {colour} {shape}", f"the {shape} is {colour}",
                       f"{colour} and {rng.choice(COLOURS)}", f"is it {colour} or {rng.choice(COLOURS)}",
                       f"the number {rng.choice(('one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'))} in {colour}"))  # fmt: skip


def _shuffled(rng: random.Random, split: Split) -> str:
    bag: list[str] = []
    while len(bag) < 40:
        bag += sample_turn(rng, split).said.split()
    return " ".join(rng.sample(bag, rng.randint(2, 9)))


def _unrelated(rng: random.Random, common: Sequence[str]) -> str:
    places = [int(len(common) * rng.random() ** 1.7) for _ in range(rng.randint(1, 8))]
    return " ".join(common[place] for place in places)
