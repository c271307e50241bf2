"""Questions about a picture, and pictures that come with questions about something else."""

import random
from dataclasses import replace

from vita_model.training.dialogues.asking import draw, phrase, text_value
from vita_model.training.dialogues.model import Split, Turn
from vita_model.training.dialogues.patterns import expand, load, pool
from vita_model.training.dialogues.spoken import words

NOTHING = ("nothing",)
"""The eye's words for a picture that shows nothing it knows."""
NO_PICTURE = "Sorry, I can't see a picture."
SEES_NOTHING = "I can't see anything there."

_COLOURS = (
    "red", "green", "blue", "yellow", "black", "white", "orange", "purple", "pink", "brown", "grey",
)  # fmt: skip
_SHAPES = (
    "circle", "square", "triangle", "star", "cross", "heart", "diamond", "arrow", "moon", "ring",
)  # fmt: skip
_ASKED = {"colour": 5, "what": 5, "number": 4, "shape": 3, "see": 3, "is_colour": 2, "is_thing": 2}


def random_picture(rng: random.Random) -> tuple[str, ...]:
    """The eye's words for a random picture: colour and thing, or nothing."""
    if rng.random() < 0.14:
        return NOTHING
    thing = str(rng.randint(0, 9)) if rng.random() < 0.45 else rng.choice(_SHAPES)
    return rng.choice(_COLOURS), thing


def picture_turn(rng: random.Random, split: Split, picture: tuple[str, ...] | None) -> Turn:
    """One question about `picture`, which is None when the caller sends no picture."""
    kind = rng.choices(list(_ASKED), list(_ASKED.values()))[0]
    colour, thing = picture if picture and len(picture) > 1 else ("red", "circle")
    values = {
        "colour": rng.choice((colour, rng.choice(_COLOURS))),
        "thing": rng.choice((thing, rng.choice(_SHAPES))),
    }
    if values["thing"].isdigit():
        values["thing"] = rng.choice(_SHAPES)
    keep = _speaks_of_sight if picture is None else _any
    pattern, line = draw(rng, f"picture_{kind}", load("pictures")[kind], split, keep)
    said = phrase(line, {name: text_value(v) for name, v in values.items()}, rng, lead=True)
    reply = picture_reply(kind, picture, values)
    return Turn(
        *said,
        reply,
        intent=f"picture_{kind}",
        pattern=pattern,
        picture=picture,
        asked=values[kind.removeprefix("is_")] if kind.startswith("is_") else "",
    )


def picture_lines(rng: random.Random, split: Split) -> list[str]:
    """Every phrasing in spoken words, slots filled at random; those with choices come twice."""
    lines: list[str] = []
    for kind in _ASKED:
        for _, line in pool(f"picture_{kind}", load("pictures")[kind], split):
            for _ in range(2 if "(" in line or "{" in line else 1):
                filled = expand(line, rng).replace("{colour}", rng.choice(_COLOURS))
                lines.append(words(filled.replace("{thing}", rng.choice(_SHAPES))))
    return sorted(set(lines))


def _any(line: str) -> bool:
    del line
    return True


def _speaks_of_sight(line: str) -> bool:
    """Without a picture a question counts as one about a picture only if it says so."""
    return any(word in line for word in ("see", "hold", "show", "hand", "card", "picture", "look"))


def picture_reply(kind: str, picture: tuple[str, ...] | None, asked: dict[str, str]) -> str:
    """The right answer to a kind of question; `asked` holds the colour and thing it names."""
    if picture is None or picture == NOTHING:
        return NO_PICTURE if picture is None else SEES_NOTHING
    colour, thing = picture
    number = thing.isdigit()
    named = f"It is the number {thing}." if number else f"It is a {thing}."
    if kind == "see":
        return f"Yes, {seen(picture)}"
    if kind.startswith("is_"):
        right = asked[kind.removeprefix("is_")] in picture
        named = f"It is {colour}." if kind == "is_colour" else named
        return f"{'Yes' if right else 'No'}, i{named[1:]}"
    fitting = {"colour": f"It is {colour}.", "number" if number else "shape": named}
    return fitting.get(kind, seen(picture))


def seen(picture: tuple[str, ...]) -> str:
    """A sentence that tells colour and thing."""
    colour, thing = picture
    if thing.isdigit():
        return f"I see the number {thing} in {colour}."
    return f"I see {'an' if colour[0] in 'aeiou' else 'a'} {colour} {thing}."


def with_pictures(
    rng: random.Random, split: Split, turns: list[Turn], share: float, *, independent: bool
) -> list[Turn]:
    """Turns of which about `share` ask about a picture; as many of the others come with one.

    In a call of several turns the questions stand before or after the others, which may refer to
    one another.
    """
    shown = [
        replace(turn, picture=random_picture(rng)) if rng.random() < share else turn
        for turn in turns
    ]
    if independent:
        return [_question(rng, split) if rng.random() < share else turn for turn in shown]
    asked = _questions(rng, split, rng.choice((0, 1, 1, 2, 3)))
    return [*asked, *shown] if rng.random() < 0.5 else [*shown, *asked]


def _question(rng: random.Random, split: Split) -> Turn:
    return picture_turn(rng, split, None if rng.random() < 0.12 else random_picture(rng))


def _questions(rng: random.Random, split: Split, count: int) -> list[Turn]:
    """Questions about pictures in a row; one without a new picture is about the last one."""
    turns: list[Turn] = []
    while len(turns) < count:
        last = turns[-1].picture if turns else None
        if last and rng.random() < 0.3:
            turns.append(replace(picture_turn(rng, split, last), picture=None))
        else:
            turns.append(picture_turn(rng, split, random_picture(rng)))
    return turns
