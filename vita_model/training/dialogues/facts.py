"""Facts about a business, each with its written lines and the questions it answers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from vita_model.training.dialogues.asking import draw, phrase, text_value
from vita_model.training.dialogues.model import Split, Turn
from vita_model.training.dialogues.patterns import expand, lines, load
from vita_model.training.dialogues.values import fill, price

UNKNOWN = "Sorry, I don't have that information."
_PLURALS = (
    ("does {a_item}", "do {a_item}"),
    ("is {a_item}", "are {a_item}"),
    ("{a_item} is", "{a_item} are"),
    ("{a_item} costs", "{a_item} cost"),
)


@dataclass(frozen=True)
class Fact:
    """Fact lines of one kind and a way to ask about them."""

    kind: str
    lines: list[str]
    ask: Callable[[random.Random, Split], Turn]
    keys: frozenset[str] = frozenset()
    follow: Callable[[random.Random, Split], Turn] | None = None


def kinds() -> tuple[str, ...]:
    """All plain fact kinds."""
    return tuple(load("facts"))


def plain_fact(kind: str, rng: random.Random, split: Split) -> Fact:
    """A fact of a kind in one of its wordings."""
    entry = load("facts")[kind]
    variant = rng.choice(entry["variants"])
    known: dict[str, str] = {}
    line = fill(rng.choice(lines(variant["facts"])), known, rng, split)
    reply = fill(variant["reply"], known, rng, split)

    def ask(rng: random.Random, split: Split) -> Turn:
        pattern, text = draw(rng, kind, entry["ask"], split)
        values = {name: text_value(value) for name, value in known.items()}
        said, typed = phrase(text, values, rng, lead=True)
        return Turn(said, typed, reply, intent=kind, pattern=pattern)

    return Fact(kind, [line], ask, frozenset(known.values()))


def unknown_turn(kind: str, told: str, reply: str, rng: random.Random, split: Split) -> Turn:
    """A question that the fact lines `told` do not answer, not even through a like word."""
    pattern, text = draw(rng, kind, load("facts")[kind]["ask"], split)
    known: dict[str, str] = {}
    for _ in range(40):
        known = {}
        fill(text, known, rng, split)
        stems = {word[:5].lower() for value in known.values() for word in value.split()}
        if not any(stem in told for stem in stems if len(stem) > 2):
            break
    values = {name: text_value(value) for name, value in known.items()}
    said, typed = phrase(text, values, rng, lead=True)
    return Turn(said, typed, reply, intent="unknown", pattern=pattern)


def bare(item: str) -> str:
    """An item without its article: "a haircut" is "haircut"."""
    first, _, rest = item.partition(" ")
    return rest if first in {"a", "an", "the"} else item


def _priced(item: str, cost: str, form: str) -> str:
    slots = {"item": bare(item), "a_item": item, "price": cost}
    out = form
    for name, value in slots.items():
        out = out.replace(f"{{{name}}}", value)
        out = out.replace(f"{{{name.capitalize()}}}", value[:1].upper() + value[1:])
    return out


def price_turn(
    item: str, reply: str, rng: random.Random, split: Split, *, intent: str, short: bool = False
) -> Turn:
    """A question for the price of an item; `short` draws only "and {item}" follow-ups."""

    def keep(line: str) -> bool:
        return not short or line.startswith(("and ", "what about", "how about"))

    pattern, text = draw(rng, "price", load("prices")["ask"], split, keep)
    if is_plural(item):
        for one, many in _PLURALS:
            text = text.replace(one, many)
    said, typed = phrase(
        text, {"a_item": text_value(item), "item": text_value(bare(item))}, rng, lead=not short
    )
    return Turn(said, typed, reply, intent=intent, pattern=pattern)


def price_sentence(item: str, cost: str, plural: bool) -> str:
    """The answer to a price question, with item and price as written."""
    return f"{item[:1].upper()}{item[1:]} {'cost' if plural else 'costs'} {cost}."


def is_plural(item: str) -> bool:
    """Whether an item takes a plural verb."""
    first, _, rest = item.partition(" ")
    if first in {"a", "an"}:
        return False
    last = (rest or item).split()[-1]
    return (last.endswith("s") and not last.endswith("ss")) or "chips" in item


def price_facts(items: list[str], rng: random.Random, split: Split) -> list[Fact]:
    """Two to six priced items in one layout, each a fact that can be asked about."""
    data = load("prices")
    chosen = rng.sample(items, min(len(items), rng.randint(2, 6)))
    money = price(rng, split)
    sign = money[0] if money[0] in "$£€" else ""
    tail = "" if sign else money[money.index(" ") :]
    costs = []
    for _ in chosen:
        raw = price(rng, split)
        amount = "".join(c for c in raw if c.isdigit() or c == ".")
        costs.append(f"{sign}{amount}{tail}")
    starting = {item for item in chosen if rng.random() < 0.08}
    listed = rng.random() < 0.3
    forms = lines(data["facts"])
    form = rng.choice(forms)
    mixed = rng.random() < 0.3
    facts: list[Fact] = []
    for item, cost in zip(chosen, costs, strict=True):
        if item in starting and not listed:
            line = _priced(item, cost, rng.choice(lines(data["from"])))
            reply = f"{item[:1].upper()}{item[1:]} {'start' if is_plural(item) else 'starts'} at {cost}."
        else:
            line = _priced(item, cost, rng.choice(forms) if mixed else form)
            reply = price_sentence(item, cost, is_plural(item))

        def ask(rng: random.Random, split: Split, item: str = item, reply: str = reply) -> Turn:
            return price_turn(item, reply, rng, split, intent="price")

        def follow(rng: random.Random, split: Split, item: str = item, reply: str = reply) -> Turn:
            return price_turn(item, reply, rng, split, intent="price", short=True)

        facts.append(Fact("price", [] if listed else [line], ask, follow=follow))
    if listed:
        title = rng.choice(("Prices", "Price list", "Our prices", "We charge", "What it costs"))
        gap = rng.choice((" ", " ", ": ", " - ", " for "))
        entries = [
            f"{cost} for {item}" if gap == " for " else f"{bare(item)}{gap}{cost}"
            for item, cost in zip(chosen, costs, strict=True)
        ]
        facts[0] = replace(facts[0], lines=[f"{title}: {', '.join(entries)}"])
    summary = ", ".join(f"{bare(i)} {c}" for i, c in list(zip(chosen, costs, strict=True))[:3])

    def ask_all(rng: random.Random, split: Split) -> Turn:
        pattern, text = draw(rng, "prices", data["list"], split)
        said, typed = phrase(expand(text, rng), {}, rng, lead=True)
        reply = f"{summary[:1].upper()}{summary[1:]}."
        return Turn(said, typed, reply, intent="prices", pattern=pattern)

    if len(chosen) <= 3 and not starting:
        facts.append(Fact("prices", [], ask_all))
    return facts
