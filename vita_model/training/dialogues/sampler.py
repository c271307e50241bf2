"""Samples training dialogues, caller utterances and agent sentences."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from vita_model.training.dialogues import hours as hours_module
from vita_model.training.dialogues.asking import draw, phrase, text_value
from vita_model.training.dialogues.facts import (
    UNKNOWN,
    Fact,
    kinds,
    plain_fact,
    price_facts,
    price_turn,
    unknown_turn,
)
from vita_model.training.dialogues.model import Dialogue, Split, ToolCall, Turn
from vita_model.training.dialogues.patterns import load
from vita_model.training.dialogues.pictures import with_pictures
from vita_model.training.dialogues.tools import (
    ANYONE,
    Listed,
    bare_turn,
    call_turn,
    cannot_turn,
    correction,
    group,
    intents,
    make_tool,
    request,
)
from vita_model.training.dialogues.values import ARGUMENTS, DAYS, MAKERS, Value, fill

_OFFER = " Shall I connect you to a person?"
_COMMON = (
    "address", "parking", "phone", "email", "payment", "cancellation", "deposit", "person",
    "service", "stock", "delivery_time", "directions", "reservation", "waiting",
)  # fmt: skip
_OVERLAP = {
    "emergency": {"phone"}, "phone": {"emergency"}, "directions": {"address"},
    "entrance": {"toilets", "address"}, "ownership": {"address"}, "website": {"email"},
    "minorder": {"delivery_fee"}, "delivery_fee": {"minorder", "delivery_area"},
    "delivery_area": {"delivery_fee", "delivery_time"}, "arrive": {"reservation"},
    "agelimit": {"kids"}, "kids": {"agelimit"}, "senior": {"discount"}, "discount": {"senior"},
    "turnaround": {"duration", "waiting", "delivery_time"}, "duration": {"turnaround", "waiting"},
    "waiting": {"turnaround", "duration"}, "delivery_time": {"turnaround", "delivery_area"},
    "careers": {"email"}, "lastorder": {"hours"}, "checkin": {"hours"}, "checkout": {"hours"},
    "founded": {"hours"}, "reservation": {"arrive"}, "address": {"directions", "entrance"},
    "transport": {"directions"}, "vegetarian": {"allergy"}, "allergy": {"vegetarian"},
}  # fmt: skip
_KEYED = ("person", "stock", "service")
_ANSWERED = {"message": "person", "quote": "service"}


@dataclass
class _Setting:
    """A business with its facts and tools, from which turns are drawn."""

    business: str
    persona: str
    items: list[str]
    facts: list[Fact] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    week: hours_module.Week | None = None

    def tool(self, intent: str) -> Listed | None:
        return next((x for x in self.listed if x.intent == intent), None)

    def offer(self) -> str:
        return _OFFER if self.tool("transfer") else ""


def _setting(rng: random.Random, split: Split) -> _Setting:
    businesses = load("businesses")
    entry = businesses[rng.choice(sorted(businesses))]
    known = {
        "a": _street_word(rng, split),
        "f": MAKERS["first"](rng, split),
        "l": MAKERS["last"](rng, split),
        "t": MAKERS["town"](rng, split),
    }
    name = rng.choice(entry["names"])
    if name.count("{l}") == 2:
        name = name.replace("{l}", MAKERS["last"](rng, split), 1)
    business = fill(name, known, rng, split)
    persona = fill(rng.choice(load("values")["persona"]), {}, rng, split)
    setting = _Setting(business, persona, list(entry["items"]))
    groups: list[list[Fact]] = []
    if rng.random() < 0.85:
        setting.week = hours_module.random_week(rng, split)
        groups.append([hours_module.hours_fact(setting.week, rng)])
    if rng.random() < 0.75:
        groups.append(price_facts(setting.items, rng, split))
    setting.listed = _tools(rng)
    excluded = {"stock"} if setting.tool("checkstock") else set()
    groups += [[fact] for fact in _plain_facts(excluded, rng, split)]
    rng.shuffle(groups)
    setting.facts = [fact for facts in groups for fact in facts]
    return setting


def _plain_facts(taken: set[str], rng: random.Random, split: Split) -> list[Fact]:
    """One to seven facts of different kinds; people, stock and services may come in numbers."""
    facts: list[Fact] = []
    drawn = [rng.choice(_COMMON if rng.random() < 0.45 else kinds()) for _ in range(6)]
    if rng.random() < 0.5:
        drawn[0] = "address"
    for kind in drawn[: rng.randint(1, 6)]:
        if kind in taken:
            continue
        taken.add(kind)
        fact = plain_fact(kind, rng, split)
        facts.append(fact)
        while kind in _KEYED and rng.random() < 0.5:
            other = plain_fact(kind, rng, split)
            if not other.keys & {key for fact in facts for key in fact.keys}:
                facts.append(other)
    return facts


def _street_word(rng: random.Random, split: Split) -> str:
    """The first word of a street name, as businesses are named after streets."""
    return fill("{town}", {}, rng, split) if rng.random() < 0.5 else MAKERS["last"](rng, split)


def _tools(rng: random.Random) -> list[Listed]:
    roll = rng.random()
    if roll < 0.12:
        return []
    chosen = [x for x in ("order_status", "book", "transfer", "end") if rng.random() < 0.6]
    others = [x for x in intents() if x not in chosen]
    chosen += rng.sample(others, rng.choice((0, 1, 1, 2, 3)))
    listed: list[Listed] = []
    groups: set[str] = set()
    rng.shuffle(chosen)
    for intent in chosen:
        if group(intent) not in groups:
            groups.add(group(intent))
            listed.append(make_tool(intent, rng))
    return listed


def _fact_turn(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    present = sorted({fact.kind for fact in setting.facts})
    weights = [{"hours": 6, "price": 4, "address": 3}.get(kind, 2) for kind in present]
    kind = rng.choices(present, weights)[0]
    turn = rng.choice([fact for fact in setting.facts if fact.kind == kind]).ask(rng, split)
    if turn.reply == UNKNOWN:
        return replace(turn, reply=UNKNOWN + setting.offer())
    return turn


def _unknown(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    reply = UNKNOWN + setting.offer()
    text = "\n".join(line for fact in setting.facts for line in fact.lines).lower()
    present = {fact.kind for fact in setting.facts}
    blocked = set(present)
    for kind in present:
        blocked |= _OVERLAP.get(kind, set())
    if any(x.intent in {"appointment_lookup", "book", "table", "room"} for x in setting.listed):
        blocked |= {"reservation", "website"}
    roll = rng.random()
    if roll < 0.3 and "prices" not in present:
        missing = [x for x in setting.items if x.split(" ", 1)[-1].lower() not in text]
        if missing:
            return price_turn(rng.choice(missing), reply, rng, split, intent="unknown")
    if roll < 0.42 and setting.week is None:
        turn = hours_module.ask_day(hours_module.Week({}), rng.choice(DAYS), rng, split)
        return replace(turn, reply=reply)
    free = [kind for kind in kinds() if kind not in blocked or kind in _KEYED]
    if "stock" in free and setting.tool("checkstock"):
        free.remove("stock")
    if roll < 0.82:
        near = [kind for kind in _KEYED if kind in free]
        kind = rng.choice(near if near and rng.random() < 0.4 else free)
        return unknown_turn(kind, text, reply, rng, split)
    return _off_topic(reply, rng, split)


def _off_topic(reply: str, rng: random.Random, split: Split) -> Turn:
    pattern, text = draw(rng, "unknown", load("unknown")["ask"], split)
    known: dict[str, str] = {}
    fill(text, known, rng, split)
    values = {name: text_value(value) for name, value in known.items()}
    said = phrase(text, values, rng, lead=True)
    return Turn(*said, reply, intent="unknown", pattern=pattern)


def _talk(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    talk = load("talk")
    kind = rng.choice(
        [k for k in talk if k not in {"nothing", "wrongnumber", "sorry"}]
        + ["hello", "whoareyou", "thanks"]
    )
    block, reply = talk[kind]["ask"], talk[kind]["reply"].strip()
    return _said(setting, f"talk_{kind}", rng, split, block=block, reply=reply)


def _said(
    setting: _Setting, section: str, rng: random.Random, split: Split, *, block: str, reply: str
) -> Turn:
    pattern, text = draw(rng, section, block, split)
    known = {"business": setting.business}
    fill(text, known, rng, split)
    said = phrase(text, {name: text_value(v) for name, v in known.items()}, rng)
    answer = reply.replace("{business}", setting.business)
    return Turn(*said, answer, intent=section, pattern=pattern)


def _goodbye(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    block, reply = load("goodbye")["ask"], "Goodbye, thank you for calling."
    turn = _said(setting, "goodbye", rng, split, block=block, reply=reply)
    end = setting.tool("end")
    if end is None:
        return turn
    return call_turn(end, {}, (turn.said, turn.typed), rng, split, pattern=turn.pattern)


def _noise(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    roll = rng.random()
    if roll < 0.25:
        return Turn("", "", "", intent="noise")
    if roll < 0.35:
        return _said(setting, "garbled", rng, split, block=load("noise")["garbled"], reply="")
    return _said(setting, "aside", rng, split, block=load("noise")["ask"], reply="")


def _cannot(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    groups = {group(x.intent) for x in setting.listed} | {"end", "stock"}
    present = {fact.kind for fact in setting.facts}
    if "callback" not in groups and "phone" in present:
        groups.add("callback")
    free = [
        x for x in intents()
        if group(x) not in groups and _ANSWERED.get(x, "") not in present
    ]  # fmt: skip
    if rng.random() < 0.35:
        free = [x for x in ("order_status", "book", "transfer") if x in free] or free
    intent = rng.choice(free)
    return cannot_turn(intent, setting.offer(), rng, split)


def _tool(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    usable = [x for x in setting.listed if x.intent != "end"]
    if not usable:
        return (_fact_turn if setting.facts else _cannot)(setting, rng, split)
    return request(rng.choice(usable), rng, split)[0]


def _two_questions(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    """Two fact questions in one breath, answered one after the other."""
    first, second = _fact_turn(setting, rng, split), _fact_turn(setting, rng, split)
    if first.reply == second.reply or "unknown" in {first.intent, second.intent}:
        return first
    joint = rng.choice((" and ", " and also ", " oh and ", " and "))
    typed = first.typed.rstrip(".?") + joint + second.typed[:1].lower() + second.typed[1:]
    return Turn(
        first.said + joint + second.said,
        typed,
        f"{first.reply} {second.reply}",
        intent="two_questions",
        pattern=first.pattern,
    )


def _single(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    makers: list[tuple[float, Callable[[], Turn]]] = [
        (0.44 if setting.facts else 0.0, partial(_fact_turn, setting, rng, split)),
        (0.03 if setting.facts else 0.0, partial(_two_questions, setting, rng, split)),
        (0.24, partial(_tool, setting, rng, split)),
        (0.13, partial(_unknown, setting, rng, split)),
        (0.06, partial(_talk, setting, rng, split)),
        (0.1, partial(_noise, setting, rng, split)),
        (0.05, partial(_cannot, setting, rng, split)),
        (0.03, partial(_goodbye, setting, rng, split)),
    ]
    return rng.choices([m for _, m in makers], [w for w, _ in makers])[0]()


def _tool_exchange(setting: _Setting, rng: random.Random, split: Split) -> list[Turn]:
    usable = [x for x in setting.listed if x.intent != "end"]
    if not usable:
        return [_single(setting, rng, split)]
    listed = rng.choice(usable)
    first, values, open_slots = request(listed, rng, split, full=rng.random() < 0.4)
    turns = [first]
    if open_slots:
        turns += bare_turn(listed, values, open_slots, rng, split)
    if rng.random() < 0.3 and listed.intent != "transfer":
        fixed = correction(listed, values, rng, split)
        turns += [fixed] if fixed else []
    return turns


def _offered(setting: _Setting, rng: random.Random, split: Split) -> Turn:
    transfer = setting.tool("transfer")
    slots = load("slots")
    if transfer and rng.random() < 0.6:
        pattern, text = draw(rng, "accept", slots["accept"], split)
        reason = {} if not transfer.names else {"topic": Value("", ANYONE, ANYONE)}
        return call_turn(transfer, reason, phrase(text, {}, rng), rng, split, pattern=pattern)
    return _said(
        setting, "decline", rng, split, block=slots["decline"], reply="All right. Anything else?"
    )


def _follow(setting: _Setting, last: Turn, rng: random.Random, split: Split) -> list[Turn]:
    reply = last.after if isinstance(last.reply, ToolCall) else last.reply
    if reply.endswith(_OFFER) and rng.random() < 0.7:
        return [_offered(setting, rng, split)]
    roll = rng.random()
    if roll < 0.08 and reply:
        turn = _said(setting, "repeat", rng, split, block=load("repeat")["ask"], reply=reply)
        return [turn]
    if last.intent.startswith("hours_") and setting.week and roll < 0.5:
        day = rng.choice(DAYS)
        turn = hours_module.ask_day(setting.week, day, rng, split, "hours_day")
        if turn.reply == UNKNOWN:
            turn = replace(turn, reply=UNKNOWN + setting.offer())
        return [turn]
    priced = [fact.follow for fact in setting.facts if fact.follow]
    if last.intent == "price" and len(priced) > 1 and roll < 0.5:
        return [rng.choice(priced)(rng, split)]
    return []


def _talk_through(setting: _Setting, turns: int, rng: random.Random, split: Split) -> list[Turn]:
    out: list[Turn] = []
    while len(out) < turns:
        if out and (more := _follow(setting, out[-1], rng, split)):
            out += more
        elif rng.random() < 0.35:
            out += _tool_exchange(setting, rng, split)
        elif len(out) == turns - 1 and rng.random() < 0.5:
            out.append(_goodbye(setting, rng, split))
        else:
            turn = _single(setting, rng, split)
            if turn.intent.startswith("ask_"):
                out += _tool_exchange(setting, rng, split)
            elif not isinstance(turn.reply, ToolCall) or turn.reply.name != _end_name(setting):
                out.append(turn)
    return out[: max(turns, 1)]


def _end_name(setting: _Setting) -> str:
    end = setting.tool("end")
    return end.tool.name if end else ""


def sample_dialogue(
    rng: random.Random, split: Split, *, independent: bool, turns: int, pictures: float = 0.0
) -> Dialogue:
    """A random business with `turns` caller turns.

    Independent turns do not refer to one another; otherwise they form one call
    with follow-ups, corrections and questions for missing arguments. About `pictures` of the
    turns ask about a picture, and as many others come with one.
    """
    setting = _setting(rng, split)
    if independent:
        spoken = [_single(setting, rng, split) for _ in range(turns)]
    else:
        spoken = _talk_through(setting, turns, rng, split)
    if pictures:
        spoken = with_pictures(rng, split, spoken, pictures, independent=independent)
    return Dialogue(
        setting.business,
        setting.persona,
        [line for fact in setting.facts for line in fact.lines],
        [x.tool for x in setting.listed],
        spoken,
    )


def sample_spoken(rng: random.Random, split: Split) -> str:
    """One caller utterance in words: questions, digit strings, bare answers, random words."""
    roll = rng.random()
    slots = load("slots")
    if roll < 0.14:
        value = ARGUMENTS["digits"](rng, split)
        _, line = draw(rng, "slot_digits", slots["digits"], split)
        return value.spoken if rng.random() < 0.6 else phrase(line, {"v": value}, rng)[0]
    if roll < 0.26:
        bag: list[str] = []
        while len(bag) < 40:
            bag += sample_turn(rng, split).said.split()
        return " ".join(rng.sample(bag, rng.randint(2, 9)))
    if roll < 0.38:
        kind = rng.choice(
            ("day", "time", "daytime", "person", "people", "email", "street", "accept", "decline", "phone",
             "fix_digit", "fix_day", "fix_time", "postcode", "stock", "service", "day", "time")
        )  # fmt: skip
        values = {"day": ARGUMENTS["day"](rng, split), "time": ARGUMENTS["time"](rng, split)}
        base = kind.removeprefix("fix_")
        if base in ARGUMENTS:
            values |= {"v": ARGUMENTS[base](rng, split), "bad": ARGUMENTS[base](rng, split)}
        if kind == "fix_digit":
            good, bad = rng.sample("123456789", 2)
            values |= {"good": text_value(good), "bad": text_value(bad)}
        _, line = draw(
            rng,
            kind if kind in {"accept", "decline"} or "fix" in kind else f"slot_{kind}",
            slots[kind],
            split,
        )
        return phrase(line, values, rng)[0]
    while not (said := sample_turn(rng, split).said):
        pass
    return said


def sample_turn(rng: random.Random, split: Split) -> Turn:
    """One independent turn of a fresh business."""
    return sample_dialogue(rng, split, independent=True, turns=1).turns[0]


def sample_aside(rng: random.Random, split: Split) -> Turn:
    """What somebody says to somebody else; the agent stays silent."""
    nobody = _Setting("Northwind", "", [])
    return _said(nobody, "aside", rng, split, block=load("noise")["ask"], reply="")


def sample_reply(rng: random.Random, split: Split) -> str:
    """One agent sentence as written, with digits, times, prices and names."""
    while True:
        turn = sample_turn(rng, split)
        text = turn.after if isinstance(turn.reply, ToolCall) else turn.reply
        if text:
            return text
