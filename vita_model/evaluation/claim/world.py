"""A small world to see, hear and talk about: things in pictures, numbers, and questions on them.

Everything follows from a random generator. Words are the tokens of the language model.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {
    "red": (0.85, 0.15, 0.15),
    "green": (0.15, 0.7, 0.2),
    "blue": (0.15, 0.25, 0.9),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.6, 0.15, 0.7),
    "white": (0.95, 0.95, 0.95),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
_ASKING = ("what", "which", "tell", "colour", "shape", "number", "is", "it", "there", "how", "many")
_TALKING = ("comes", "after", "plus", "say", "look", "write")
WORDS = (*NUMBERS, *COLOURS, *SHAPES, *_ASKING, *_TALKING)
"""All words of the world; each can be said."""
SIGNS = ("<pad>", "<user>", "<agent>", "<end>", "☞", "☜", "☟")
TOKENS = (*SIGNS, *WORDS)
IDS = {token: number for number, token in enumerate(TOKENS)}
USER, AGENT, END, QUERY, TYPED, NOISE = (IDS[sign] for sign in SIGNS[1:])

SIZE = 24
"""Width and height of a picture."""
MOST = 4
"""Things in a picture."""
_ASKED = {
    "colour": ("what colour is it", "which colour is there", "tell colour"),
    "shape": ("what shape is it", "which shape is there", "tell shape"),
    "number": ("how many is it", "how many is there", "tell number"),
}
About = Literal["colour", "shape", "number"]
ABOUT: tuple[About, ...] = ("colour", "shape", "number")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows: so many things of one colour and shape."""

    number: int
    colour: str
    shape: str

    @property
    def caption(self) -> str:
        """The picture in words."""
        return f"{NUMBERS[self.number - 1]} {self.colour} {self.shape}"

    def answer(self, about: About) -> str:
        """The word that answers a question about it."""
        return {"colour": self.colour, "shape": self.shape, "number": NUMBERS[self.number - 1]}[
            about
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked and answered; with a scene it is about a picture."""

    said: str
    answer: str
    scene: Scene | None = None


def scene(rng: random.Random) -> Scene:
    """A random one."""
    return Scene(rng.randint(1, MOST), rng.choice(list(COLOURS)), rng.choice(SHAPES))


def captioned(rng: random.Random) -> Question:
    """A picture to be told in three words."""
    shown = scene(rng)
    return Question("look", shown.caption, shown)


def about_picture(rng: random.Random) -> Question:
    """A question about a picture, answered in one word."""
    shown, about = scene(rng), rng.choice(ABOUT)
    return Question(rng.choice(_ASKED[about]), shown.answer(about), shown)


def talk(rng: random.Random) -> Question:
    """A question without a picture: a sum, the number that comes next, words to repeat."""
    kind = rng.randrange(3)
    if kind == 0:
        first = rng.randint(1, 8)
        second = rng.randint(1, 9 - first)
        asked = f"what is {NUMBERS[first - 1]} plus {NUMBERS[second - 1]}"
        return Question(asked, NUMBERS[first + second - 1])
    if kind == 1:
        number = rng.randint(1, 8)
        how = rng.choice(("what", "which number"))
        return Question(f"{how} comes after {NUMBERS[number - 1]}", NUMBERS[number])
    words = some_words(rng, 2, 4)
    return Question(f"say {words}", words)


def some_words(rng: random.Random, least: int, most: int) -> str:
    """Words without sense."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def any_saying(rng: random.Random) -> str:
    """Something people say in this world, or a string of its words."""
    kind = rng.randrange(3)
    if kind == 0:
        return some_words(rng, 2, 4)
    return (talk(rng) if kind == 1 else about_picture(rng)).said


def encode(text: str) -> list[int]:
    """Ids of words."""
    return [IDS[word] for word in text.split()]


def decode(ids: list[int]) -> str:
    """Words of ids, signs left out."""
    return " ".join(TOKENS[i] for i in ids if i >= len(SIGNS))


def draw(rng: random.Random, shown: Scene) -> Tensor:
    """A picture `[3, SIZE, SIZE]`, about -1 to 1: things on a dim ground, with light and grain."""
    noise = np.random.default_rng(rng.getrandbits(32))
    ground = noise.uniform(0.0, 0.35, (3, 1, 1)) * np.ones((3, SIZE, SIZE))
    half = SIZE // 2
    for cell in rng.sample(range(4), shown.number):
        top, left = half * (cell // 2), half * (cell % 2)
        size = rng.randint(7, 9)
        y, x = top + rng.randint(0, half - size), left + rng.randint(0, half - size)
        mask = _mask(shown.shape, size)
        colour = np.array(COLOURS[shown.colour])[:, None] + noise.normal(0, 0.05, (3, 1))
        ground[:, y : y + size, x : x + size][:, mask] = colour
    light = noise.uniform(0.75, 1.1) + noise.uniform(-0.15, 0.15) * np.linspace(-1, 1, SIZE)
    picture = ground * light + noise.normal(0, 0.06, ground.shape)
    return torch.from_numpy((2 * picture - 1).astype(np.float32))


def _mask(shape: str, size: int) -> np.ndarray:
    axis = np.linspace(-1, 1, size)
    x, y = axis[None, :], axis[:, None]
    distance = x**2 + y**2
    match shape:
        case "circle":
            return distance <= 1
        case "square":
            return np.ones((size, size), bool)
        case "triangle":
            return np.abs(x) <= (y + 1) / 2
        case "cross":
            return (np.abs(x) < 0.3) | (np.abs(y) < 0.3)
        case _:
            return (distance <= 1.1) & (distance >= 0.35)
