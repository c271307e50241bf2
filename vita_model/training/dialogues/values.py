"""Random values: names, places, prices, digit strings, each written and spoken."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from vita_model.training.dialogues.model import Split
from vita_model.training.dialogues.patterns import load, pick
from vita_model.training.dialogues.spoken import (
    digit_words,
    number_words,
    ordinal_words,
    spelled,
    time_text,
    time_words,
    words,
)

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
ROLES = (
    "manager", "owner", "doctor", "head chef", "director", "receptionist", "dentist", "trainer",
    "assistant manager", "shop manager", "sales manager", "head nurse", "teacher", "vet",
    "caretaker", "mechanic", "accountant", "office manager",
)  # fmt: skip
DRESS = (
    "smart casual", "sports clothes", "clean trainers", "long trousers", "comfortable clothes",
    "a jacket", "closed shoes", "a swimming cap", "smart clothes", "flat shoes", "warm clothes",
)  # fmt: skip
FLOORS = (
    "on the ground floor", "on the first floor", "in the basement", "at the front desk",
    "next to the reception", "on the second floor", "at the back", "on the third floor",
    "beside the lift", "at the information desk",
)  # fmt: skip
BRING = (
    "your passport", "a photo ID", "your insurance card", "comfortable shoes", "a towel",
    "the receipt", "your old glasses", "the order confirmation", "your driving licence",
    "a list of your medicines", "proof of address", "a padlock", "your vaccination card",
)  # fmt: skip
INSURERS = (
    "Bupa", "Aviva", "Axa", "Allianz", "Vitality", "Blue Cross", "Aetna", "Cigna", "Delta Dental",
    "Medicare", "Kaiser", "Humana",
)  # fmt: skip
WHEN = ("tomorrow", "today", "this afternoon", "on Monday", "on Friday", "tonight", "next week")


@dataclass(frozen=True)
class Value:
    """One value as spoken words, as typed and as a tool receives it."""

    spoken: str
    typed: str
    argument: str | int


def _values(name: str) -> list[str]:
    return list(load("values")[name])


def digits(rng: random.Random, low: int = 3, high: int = 8) -> str:
    """A digit string of `low` to `high` digits in which repeats are common."""
    out = [rng.choice("123456789")]
    for _ in range(rng.randint(low, high) - 1):
        out.append(out[-1] if rng.random() < 0.28 else rng.choice("0123456789"))
    return "".join(out)


def price(rng: random.Random, _split: Split = "train") -> str:
    """A price as an operator writes it."""
    amount = rng.choice((rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 60) * 5))
    if rng.random() < 0.06:
        amount = rng.randint(100, 2000)
    cents = rng.choice(("", "", "", ".50", ".99", f".{rng.randint(10, 99)}"))
    form = rng.choice(("${}", "${}", "£{}", "£{}", "€{}", "{} euros", "{} dollars", "{} pounds"))
    return form.format(f"{amount}{cents}")


def street(rng: random.Random, split: Split) -> str:
    """A street with a house number."""
    return f"{rng.randint(1, 240)} {pick(rng, _values('street'), split)}"


def person(rng: random.Random, split: Split) -> str:
    """A full name, sometimes with a title or a last name alone."""
    first = pick(rng, _values("first"), split)
    last = pick(rng, _values("last"), split)
    return rng.choice((f"{first} {last}", f"{first} {last}", first, f"Dr {last}", f"Mrs {last}"))


def _address(rng: random.Random, split: Split) -> str:
    town = pick(rng, _values("town"), split)
    place = street(rng, split)
    unit = rng.choice(("", "", "", "", f"Unit {rng.randint(1, 30)}, ", "Suite B, "))
    return rng.choice((f"{unit}{place}, {town}", f"{unit}{place}, {town}", f"{unit}{place}"))


def _phone_text(rng: random.Random, _split: Split) -> str:
    d = "".join(rng.choice("0123456789") for _ in range(7))
    form = rng.choice(("0{}{}{} {}{}{}{}", "555 {}{}{} {}{}{}{}", "020 {}{}{} {}{}{}{}"))
    return rng.choice((form, f"{rng.randint(200, 989)} {{}}{{}}{{}} {{}}{{}}{{}}{{}}")).format(*d)


def _email_text(rng: random.Random, split: Split) -> str:
    box = rng.choice(("info", "hello", "contact", "office", "mail", "team", "help", "bookings"))
    return f"{box}@{pick(rng, _values('last'), split).lower()}.{rng.choice(('com', 'org', 'net'))}"


def _website(rng: random.Random, split: Split) -> str:
    name = f"{pick(rng, _values('last'), split)}{pick(rng, _values('town'), split)}".lower()
    return f"{rng.choice(('www.', ''))}{name}.{rng.choice(('com', 'org', 'net'))}"


def _time(rng: random.Random, _split: Split) -> str:
    text = time_text(rng.randint(7, 22), rng.choice((0, 0, 15, 30, 45)))
    return rng.choice((text, text.replace(" ", "")))


def _from(values: tuple[str, ...]) -> Callable[[random.Random, Split], str]:
    return lambda rng, split: pick(rng, values, split)


def _listed(name: str) -> Callable[[random.Random, Split], str]:
    return lambda rng, split: pick(rng, _values(name), split)


def _span(unit: str, low: int, high: int) -> Callable[[random.Random, Split], str]:
    def make(rng: random.Random, _split: Split) -> str:
        return f"{rng.randint(low, high)} {unit}"

    return make


def _duration(rng: random.Random, _split: Split) -> str:
    low = rng.randint(1, 9)
    unit = rng.choice(("days", "hours", "working days", "weeks", "minutes"))
    low = low * 5 if unit == "minutes" else low
    return rng.choice((f"{low + 1} {unit}", f"{low} to {low + rng.randint(1, 5)} {unit}"))


def _landmark(rng: random.Random, split: Split) -> str:
    return pick(rng, _values("landmark"), split)


MAKERS: dict[str, Callable[[random.Random, Split], str]] = {
    "address": _address,
    "age": lambda rng, _: str(rng.randint(3, 21)),
    "brand": _listed("brands"),
    "brand2": _listed("brands"),
    "bring": _from(BRING),
    "cards": _listed("cards"),
    "day": _from(DAYS),
    "days": _span("days", 2, 60),
    "digits": lambda rng, _: digits(rng, 3, 5),
    "dress": _from(DRESS),
    "duration": _duration,
    "email": _email_text,
    "entrance": _from(("side", "back", "main", "left", "right", "garden", "front", "east")),
    "first": _listed("first"),
    "floor": _from(FLOORS),
    "holiday": _listed("holiday"),
    "hours": _span("hours", 2, 72),
    "insurer": _from(INSURERS),
    "landmark": _landmark,
    "languages": _listed("languages"),
    "last": _listed("last"),
    "minutes": _span("minutes", 4, 95),
    "months": _span("months", 2, 60),
    "near": _listed("near"),
    "num": lambda rng, _: str(rng.randint(2, 60)),
    "parkplace": _listed("parkplace"),
    "password": lambda rng, split: (
        pick(rng, _values("password"), split) + rng.choice(("", "", str(rng.randint(1, 99))))
    ),
    "percent": lambda rng, _: f"{rng.randint(1, 10) * 5}{rng.choice(('%', '%', ' percent'))}",
    "person": person,
    "phone": _phone_text,
    "price": price,
    "role": _from(ROLES),
    "service": _listed("service_extra"),
    "service2": _listed("service_extra"),
    "stock": _listed("stock"),
    "time": _time,
    "time2": _time,
    "topic": _listed("topic"),
    "town": _listed("town"),
    "town2": _listed("town"),
    "website": _website,
    "when": _from(WHEN),
    "year": lambda rng, _: str(rng.randint(1905, 2032)),
}


def fill(text: str, known: dict[str, str], rng: random.Random, split: Split) -> str:
    """Fills {slots} from `known`, making and remembering the missing ones.

    A capitalised slot ({Stock}) is the same value with a capital first letter.
    """
    out = text
    for _ in range(12):
        start = out.find("{")
        if start < 0:
            return out
        name = out[start + 1 : out.index("}", start)]
        key = name.lower()
        if key not in known:
            value = MAKERS[key](rng, split)
            while key.endswith("2") and known.get(key[:-1]) == value:
                value = MAKERS[key](rng, split)
            known[key] = value
        value = known[key]
        out = out.replace(f"{{{name}}}", value[:1].upper() + value[1:] if name != key else value)
    return out


def _value_digits(rng: random.Random, _split: Split) -> Value:
    text = digits(rng, *rng.choice(((3, 8), (4, 6), (5, 5))))
    return Value(digit_words(text, rng), text, text)


def _value_phone(rng: random.Random, _split: Split) -> Value:
    text = "0" + digits(rng, 6, 9) if rng.random() < 0.5 else digits(rng, 7, 10)
    return Value(digit_words(text, rng), text, text)


def _value_day(rng: random.Random, _split: Split) -> Value:
    roll = rng.random()
    if roll < 0.72:
        day = rng.choice(DAYS)
        return Value(day.lower(), day, day)
    if roll < 0.86:
        word = rng.choice(("tomorrow", "today", "tomorrow"))
        return Value(word, word, word)
    number, month = rng.randint(1, 28), rng.choice(MONTHS)
    said = rng.choice(
        (
            f"the {ordinal_words(number)} of {month}",
            f"{month} {ordinal_words(number)}",
            f"{month} the {ordinal_words(number)}",
        )
    )
    return Value(said.lower(), f"{number} {month}", f"{number} {month}")


def _value_time(rng: random.Random, _split: Split) -> Value:
    hour = rng.choice((8, 9, 9, 10, 10, 11, 11, 12, 13, 14, 14, 15, 15, 16, 16, 17, 18, 19, 20))
    minute = rng.choice((0, 0, 0, 30, 30, 15, 45, 10, 20, 40, 50))
    text = time_text(hour, minute)
    return Value(time_words(hour, minute, rng), text, text)


def _value_email(rng: random.Random, split: Split) -> Value:
    first = pick(rng, _values("first"), split).lower()
    last = words(pick(rng, _values("last"), split))
    host = pick(rng, _values("email_host"), split)
    joint = rng.choice((" dot ", " ", " dot "))
    spoken = f"{first}{joint}{last} at {host}"
    text = spoken.replace(" at ", "@").replace(" dot ", ".").replace(" ", "")
    return Value(spoken, text, text)


def _value_postcode(rng: random.Random, _split: Split) -> Value:
    letters = "ABCDEFGHJKLMNPRSTWY"
    if rng.random() < 0.5:
        text = digits(rng, 5, 5)
        return Value(digit_words(text, rng), text, text)
    text = (
        f"{rng.choice(letters)}{rng.choice(letters)}{rng.randint(1, 9)} "
        f"{rng.randint(1, 9)}{rng.choice(letters)}{rng.choice(letters)}"
    )
    return Value(spelled(text), text, text)


def _value_people(rng: random.Random, _split: Split) -> Value:
    count = rng.randint(2, 12)
    return Value(number_words(count), str(count), count)


def _value_street(rng: random.Random, split: Split) -> Value:
    text = street(rng, split)
    return Value(words(text), text, text)


def _value_person(rng: random.Random, split: Split) -> Value:
    first = pick(rng, _values("first"), split)
    text = rng.choice((first, f"{first} {pick(rng, _values('last'), split)}"))
    return Value(words(text), text, text)


def _value_text(name: str) -> Callable[[random.Random, Split], Value]:
    def make(rng: random.Random, split: Split) -> Value:
        text = pick(rng, _values(name), split)
        return Value(words(text), text, text)

    return make


ARGUMENTS: dict[str, Callable[[random.Random, Split], Value]] = {
    "digits": _value_digits,
    "phone": _value_phone,
    "day": _value_day,
    "time": _value_time,
    "email": _value_email,
    "postcode": _value_postcode,
    "people": _value_people,
    "street": _value_street,
    "person": _value_person,
    "stock": _value_text("stock"),
    "service": _value_text("service_extra"),
    "reason": _value_text("topic"),
}
