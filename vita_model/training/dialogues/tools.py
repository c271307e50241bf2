"""Tools with random names and arguments, what callers say to reach them, and their results."""

import json
import random
from dataclasses import dataclass
from typing import Any

from vita_model.training.dialogues.asking import draw, phrase
from vita_model.training.dialogues.model import Split, Tool, ToolCall, Turn
from vita_model.training.dialogues.patterns import lines, load, slots_of
from vita_model.training.dialogues.spoken import ONES
from vita_model.training.dialogues.values import ARGUMENTS, Value, fill

ANYONE = "caller asks for a person"


@dataclass(frozen=True)
class Listed:
    """A tool as one prompt lists it: its intent, schema and argument names by slot."""

    intent: str
    tool: Tool
    names: dict[str, str]


def intents() -> tuple[str, ...]:
    """All tool intents."""
    return tuple(load("tools"))


def group(intent: str) -> str:
    """Intents of one group could be mistaken for each other."""
    return str(load("tools")[intent]["group"])


def make_tool(intent: str, rng: random.Random) -> Listed:
    """A tool for an intent; the four standard tools keep their standard names half the time."""
    entry = load("tools")[intent]
    standard = entry.get("standard") if rng.random() < 0.5 else None
    name = standard["name"] if standard else rng.choice(entry["names"].split())
    if not standard and rng.random() < 0.12:
        first, _, rest = name.partition("_")
        name = f"{first}{''.join(part.capitalize() for part in rest.split('_'))}"
    names, parameters = {}, {}
    for slot, argument in entry["args"].items():
        chosen = standard[slot] if standard else rng.choice(argument["names"].split())
        while chosen in parameters:
            chosen = rng.choice(argument["names"].split())
        names[slot] = chosen
        parameters[chosen] = argument["describe"]
    description = rng.choice(lines(entry["describe"]))
    if rng.random() < 0.2:
        description = description[:1].upper() + description[1:]
    return Listed(intent, Tool(name, description, parameters), names)


def _arguments(listed: Listed, values: dict[str, Value]) -> ToolCall:
    if listed.intent == "transfer" and listed.names:
        reason = values["topic"].argument if "topic" in values else ANYONE
        return ToolCall(listed.tool.name, {listed.names["reason"]: reason})
    return ToolCall(
        listed.tool.name, {name: values[slot].argument for slot, name in listed.names.items()}
    )


def _result(
    listed: Listed, values: dict[str, Value], rng: random.Random, split: Split
) -> tuple[str, str]:
    chosen = rng.choice(load("tools")[listed.intent]["results"])
    known = {slot: value.typed for slot, value in values.items()}
    filled: dict[str, Any] = {}
    for key, value in chosen["result"].items():
        filled[key] = fill(value, known, rng, split) if isinstance(value, str) else value
    return json.dumps(filled), fill(chosen["after"], known, rng, split)


def call_turn(
    listed: Listed,
    values: dict[str, Value],
    said: tuple[str, str],
    rng: random.Random,
    split: Split,
    *,
    pattern: str,
) -> Turn:
    """A turn answered by calling the tool with all values known."""
    result, after = _result(listed, values, rng, split)
    return Turn(
        *said,
        _arguments(listed, values),
        result,
        after,
        intent=f"tool_{listed.intent}",
        pattern=pattern,
    )


def _make_values(intent: str, rng: random.Random, split: Split) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for slot, argument in load("tools")[intent]["args"].items():
        kind = argument["type"]
        values["topic" if kind == "reason" else slot] = ARGUMENTS[kind](rng, split)
    return values


def _needed(listed: Listed) -> frozenset[str]:
    return frozenset() if listed.intent == "transfer" else frozenset(listed.names)


def _maybe_corrected(
    intent: str, slot: str, value: Value, rng: random.Random, split: Split
) -> Value:
    """Sometimes the value said after a wrong one: "tuesday no sorry wednesday"."""
    kind = load("tools")[intent]["args"].get(slot, {"type": "reason"})["type"]
    if kind not in {"day", "time", "people", "digits"} or rng.random() > 0.05:
        return value
    wrong = ARGUMENTS[kind](rng, split)
    joint = rng.choice(("no sorry", "sorry", "no wait", "i mean", "or rather", "no", "actually no"))
    return Value(
        f"{wrong.spoken} {joint} {value.spoken}",
        f"{wrong.typed}, {joint} {value.typed}",
        value.argument,
    )


def request(
    listed: Listed, rng: random.Random, split: Split, *, full: bool | None = None
) -> tuple[Turn, dict[str, Value], frozenset[str]]:
    """A request for the tool: (turn, the values meant, the slots left open).

    With open slots the reply asks for them. `full` forces a complete or an incomplete request.
    """
    entry = load("tools")[listed.intent]
    values = _make_values(listed.intent, rng, split)
    want = rng.random() < 0.75 if full is None else full
    needed = _needed(listed)

    def keep(line: str) -> bool:
        return not needed or (needed <= slots_of(line)) == want

    pattern, text = draw(rng, f"tool_{listed.intent}", entry["say"], split, keep)
    given = slots_of(text)
    said = phrase(
        text,
        {
            s: _maybe_corrected(listed.intent, s, v, rng, split)
            for s, v in values.items()
            if s in given
        },
        rng,
        lead=True,
    )
    open_slots = needed - given
    if not open_slots:
        told = {s: v for s, v in values.items() if s in given}
        return call_turn(listed, told, said, rng, split, pattern=pattern), values, open_slots
    asking = entry["ask"][next(iter(open_slots))] if len(open_slots) == 1 else entry["ask_all"]
    if len(open_slots) > 1 and len(open_slots) < len(needed):
        asking = entry["ask"][sorted(open_slots, key=list(listed.names).index)[0]]
    turn = Turn(*said, asking, intent=f"ask_{listed.intent}", pattern=pattern)
    return turn, values, open_slots


def bare_turn(
    listed: Listed,
    values: dict[str, Value],
    open_slots: frozenset[str],
    rng: random.Random,
    split: Split,
) -> list[Turn]:
    """The bare answers that fill the open slots, ending in the tool call."""
    entry, slots = load("tools")[listed.intent], load("slots")
    order = sorted(open_slots, key=list(listed.names).index)
    if open_slots == {"day", "time"}:
        pattern, text = draw(rng, "slot_daytime", slots["daytime"], split)
        said = phrase(text, values, rng)
        return [call_turn(listed, values, said, rng, split, pattern=pattern)]
    turns: list[Turn] = []
    for at, slot in enumerate(order):
        kind = entry["args"][slot]["type"]
        pattern, text = draw(rng, f"slot_{kind}", slots[kind], split)
        said = phrase(text, {"v": values[slot]}, rng)
        if at == len(order) - 1:
            turns.append(call_turn(listed, values, said, rng, split, pattern=pattern))
        else:
            asking = entry["ask"][order[at + 1]]
            turns.append(Turn(*said, asking, intent=f"ask_{listed.intent}", pattern=pattern))
    return turns


def correction(
    listed: Listed, values: dict[str, Value], rng: random.Random, split: Split
) -> Turn | None:
    """The caller corrects a value just used; the tool is called again. None if not apt."""
    entry, slots = load("tools")[listed.intent], load("slots")
    for slot in listed.names:
        kind = entry["args"][slot]["type"]
        if kind not in {"digits", "phone", "day", "time"} or slot not in values:
            continue
        old, new = values[slot], ARGUMENTS[kind](rng, split)
        while new.argument == old.argument:
            new = ARGUMENTS[kind](rng, split)
        section, filling = f"fix_{kind}", {"v": new, "bad": old}
        if kind in {"digits", "phone"}:
            section, text = "fix_all", old.typed
            once = [at for at, digit in enumerate(text) if text.count(digit) == 1 and digit != "0"]
            if once and rng.random() < 0.6:
                at = rng.choice(once)
                good = rng.choice([d for d in "123456789" if d not in text] or ["1"])
                fixed = text[:at] + good + text[at + 1 :]
                new = Value("", fixed, fixed)
                section = "fix_digit"
                filling = {
                    "good": Value(ONES[int(good)], good, good),
                    "bad": Value(ONES[int(text[at])], text[at], text[at]),
                }
        pattern, line = draw(rng, section, slots[section], split)
        said = phrase(line, filling, rng)
        return call_turn(listed, {**values, slot: new}, said, rng, split, pattern=pattern)
    return None


def cannot_turn(intent: str, offer: str, rng: random.Random, split: Split) -> Turn:
    """A request whose tool is not listed: the agent says it can't do that."""
    entry = load("tools")[intent]
    pattern, text = draw(rng, f"tool_{intent}", entry["say"], split)
    values = _make_values(intent, rng, split)
    said = phrase(text, values, rng, lead=True)
    reply = f"Sorry, I can't {entry['cannot']}.{offer}"
    return Turn(*said, reply, intent="cannot", pattern=pattern)
