"""Draws one phrasing and says it: the same words spoken and typed."""

import random
import re
from collections.abc import Callable

from vita_model.training.dialogues.model import Split
from vita_model.training.dialogues.patterns import expand, pool
from vita_model.training.dialogues.spoken import as_typed, words
from vita_model.training.dialogues.values import Value

_LEADS = (
    "hi", "hello", "hey", "good morning", "good afternoon", "um", "okay", "right", "so",
    "quick question", "sorry", "excuse me", "yeah hi", "hello there", "just wondering", "oh and",
    "also", "one more thing", "hi there", "tell me", "well", "please", "yes hello",
    "i've got a question", "and",
)  # fmt: skip
_TAILS = ("please", "thanks", "then", "if you don't mind", "by the way", "exactly", "actually")

_RELATIVE = re.compile(r"\bon (today|tomorrow)\b")


def draw(
    rng: random.Random,
    section: str,
    block: str,
    split: Split,
    keep: Callable[[str], bool] = lambda _: True,
) -> tuple[str, str]:
    """A (pattern id, expanded line) of a block, among the lines that `keep` accepts.

    Test draws fall back to a training line where no test line fits; its id tells.

    Raises ValueError when no line fits.
    """
    sides: tuple[Split, ...] = ("test", "train") if split == "test" else ("train",)
    for side in sides:
        fitting = [pair for pair in pool(section, block, side) if keep(pair[1])]
        if fitting:
            pattern, line = rng.choice(fitting)
            return pattern, expand(line, rng)
    raise ValueError(f"section {section} has no fitting phrasing for the {split} side")


def phrase(
    line: str, values: dict[str, Value], rng: random.Random, *, lead: bool = False
) -> tuple[str, str]:
    """(said, typed) of a line with its {slots} filled; `lead` adds fillers around it."""
    said = typed = line
    if lead and rng.random() < 0.25:
        opener = rng.choice(_LEADS)
        said = typed = f"{opener} {line}"
    if lead and rng.random() < 0.08:
        tail = rng.choice(_TAILS)
        said, typed = f"{said} {tail}", f"{typed} {tail}"
    for name, value in values.items():
        said = said.replace(f"{{{name}}}", value.spoken)
        typed = typed.replace(f"{{{name}}}", value.typed)
    said, typed = (_RELATIVE.sub(r"\1", text) for text in (said, typed))
    return words(said), as_typed(typed, rng)


def text_value(text: str) -> Value:
    """A value that is spoken just as it is written."""
    return Value(words(text), text, text)
