"""Draws what a camera may see: one thing in one colour, on a card or by itself, or nothing."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vita_model.vision.words import COLOURS, NOTHING, THINGS

Colour = tuple[int, int, int]
INKS: dict[str, Colour] = {
    "red": (205, 40, 40),
    "green": (40, 150, 60),
    "blue": (40, 70, 200),
    "yellow": (240, 215, 45),
    "black": (22, 22, 22),
    "white": (240, 240, 240),
    "orange": (242, 135, 25),
    "purple": (130, 50, 160),
}
LEAST_CONTRAST = 110
"""Distance of red, green and blue between a thing and what is behind it."""
_FONTS = ("dejavu/DejaVuSans*.ttf", "dejavu/DejaVuSerif*.ttf", "liberation*/LiberationS*.ttf")
_FONT_FOLDER = Path("/usr/share/fonts/truetype")
_SKIN = ((236, 188, 160), (198, 134, 98), (141, 85, 54), (92, 56, 38))
_PAPER = ((250, 250, 248), (240, 236, 224), (225, 225, 225), (250, 245, 200), (205, 220, 235))


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown: colour and thing are words of the eye; of nothing only `thing` is told."""

    colour: str
    thing: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a thing is, in pixels, and how it is turned, in radians."""

    x: float
    y: float
    radius: float
    turn: float = 0.0

    def put(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points about the middle, turned and moved to the place."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return [(self.x + a * cos - b * sin, self.y + a * sin + b * cos) for a, b in points]


def random_shown(rng: random.Random) -> Shown:
    """Any colour with any thing; one in twelve shows nothing."""
    thing = NOTHING if rng.random() < 1 / 12 else rng.choice(THINGS[:-1])
    return Shown(rng.choice(COLOURS), thing)


def draw(rng: random.Random, shown: Shown, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A camera's picture: room, lighting, a card perhaps, the thing, blur, noise, JPEG traces.

    Args:
        rng: Source of all chance.
        shown: What is in it.
        size: Width and height; everything scales with the height.
    """
    width, height = size
    wall = _wall(rng)
    picture = Image.new("RGB", size, wall)
    with_card = rng.random() < 0.6
    ink = _ink(rng, shown.colour)
    if with_card:
        if rng.random() < 0.5:
            _clutter(rng, picture)
        radius = rng.uniform(0.2, 0.38) * height
    else:
        if shown.thing != NOTHING and _distance(wall, ink) < LEAST_CONTRAST:
            picture.paste(_contrast(rng, ink), (0, 0, width, height))
        radius = rng.uniform(0.22, 0.44) * height
    x = rng.triangular(radius, width - radius)
    y = rng.triangular(radius, height - radius)
    place = _Place(x, y, radius, rng.gauss(0, 0.12))
    if with_card and (shown.thing != NOTHING or rng.random() < 0.5):
        _card(rng, picture, place, ink)
    if shown.thing != NOTHING:
        _thing(picture, shown.thing, place, ink, rng)
    return _camera(rng, picture)


def draw_several(
    rng: random.Random, shown: Shown, count: int, size: tuple[int, int] = (640, 480)
) -> Image.Image:
    """A camera's picture of one to six of a thing, apart from each other, before a wall.

    Raises:
        ValueError: `count` is not from 1 to 6.
    """
    width, height = size
    ink = _ink(rng, shown.colour)
    picture = Image.new("RGB", size, _contrast(rng, ink))
    radius = rng.uniform(0.11, 0.16) * height
    for cell in rng.sample(range(6), count):
        x = (cell % 3 + 0.5) * width / 3 + rng.uniform(-0.15, 0.15) * radius
        y = (cell // 3 + 0.5) * height / 2 + rng.uniform(-0.3, 0.3) * radius
        _thing(picture, shown.thing, _Place(x, y, radius, rng.gauss(0, 0.12)), ink, rng)
    return _camera(rng, picture)


def plain(shown: Shown, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """The thing large in the middle of a white sheet before a grey wall: a picture for tests."""
    picture = Image.new("RGB", size, (150, 155, 160))
    x, y, edge = size[0] / 2, size[1] / 2, 0.44 * size[1]
    paper = (90, 90, 95) if shown.colour == "white" else (248, 248, 246)
    ImageDraw.Draw(picture).rectangle((x - edge, y - edge, x + edge, y + edge), fill=paper)
    if shown.thing != NOTHING:
        _thing(picture, shown.thing, _Place(x, y, 0.3 * size[1]), INKS[shown.colour])
    return picture


def _wall(rng: random.Random) -> Colour:
    if rng.random() < 0.5:
        shade = rng.randint(25, 245)
        return _clip([shade + rng.randint(-14, 14) for _ in range(3)])
    return _clip([rng.randint(20, 245) for _ in range(3)])


def _ink(rng: random.Random, colour: str) -> Colour:
    return _clip([value + rng.randint(-22, 22) for value in INKS[colour]])


def _clip(values: Sequence[float]) -> Colour:
    red, green, blue = (min(255, max(0, round(value))) for value in values)
    return red, green, blue


def _distance(one: Colour, other: Colour) -> float:
    return math.dist(one, other)


def _contrast(rng: random.Random, ink: Colour) -> Colour:
    while _distance(wall := _wall(rng), ink) < LEAST_CONTRAST:
        pass
    return wall


def _clutter(rng: random.Random, picture: Image.Image) -> None:
    """A room out of focus: furniture, a window, a head and shoulders."""
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.randint(1, 5)):
        x, y = rng.uniform(-0.2, 0.9) * width, rng.uniform(-0.2, 0.9) * height
        far = (x + rng.uniform(0.1, 0.6) * width, y + rng.uniform(0.1, 0.7) * height)
        shade = rng.randint(30, 220)
        fill = _clip([shade + rng.randint(-35, 35) for _ in range(3)])
        (pen.rectangle if rng.random() < 0.7 else pen.ellipse)((x, y, *far), fill=fill)
    if rng.random() < 0.5:
        skin, x, y = (
            rng.choice(_SKIN),
            rng.uniform(0.2, 0.8) * width,
            rng.uniform(0.15, 0.5) * height,
        )
        r = rng.uniform(0.1, 0.22) * height
        pen.ellipse((x - 2.2 * r, y + 1.1 * r, x + 2.2 * r, y + 6 * r), fill=_wall(rng))
        pen.ellipse((x - r, y - 1.3 * r, x + r, y + 1.3 * r), fill=skin)
    picture.paste(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.005, 0.03) * height)))


def _card(rng: random.Random, picture: Image.Image, place: _Place, ink: Colour) -> None:
    """A sheet behind the thing, perhaps with a border and with fingers at its edge."""
    paper = _clip([v + rng.randint(-10, 6) for v in rng.choice(_PAPER)])
    if _distance(paper, ink) < LEAST_CONTRAST:
        paper = _contrast(rng, ink)
    radius = place.radius
    across, up = radius * rng.uniform(1.1, 2.0), radius * rng.uniform(1.1, 1.8)
    sheet = replace(place, turn=rng.gauss(0, 0.12))
    corners = [(-across, -up), (across, -up), (across, up), (-across, up)]
    pen = ImageDraw.Draw(picture)
    pen.polygon(sheet.put(corners), fill=_wall(rng) if rng.random() < 0.25 else paper)
    pen.polygon(sheet.put([(a * 0.93, b * 0.93) for a, b in corners]), fill=paper)
    if rng.random() < 0.5:
        skin, r = rng.choice(_SKIN), radius * rng.uniform(0.16, 0.34)
        x = place.x + rng.choice((-1, 1, 0)) * across * 0.95
        y = place.y + up * rng.uniform(0.75, 1.05)
        pen.ellipse((x - r, y - r * 1.5, x + r, y + r * 3), fill=skin)


def _thing(
    picture: Image.Image, thing: str, place: _Place, ink: Colour, rng: random.Random | None = None
) -> None:
    """One thing; without a source of chance a digit has the font that comes with Pillow."""
    pen = ImageDraw.Draw(picture)
    x, y, radius = place.x, place.y, place.radius
    if thing.isdigit():
        mask, side = _digit(thing, place, rng)
        picture.paste(ink, (round(x - side / 2), round(y - side / 2)), mask)
    elif thing == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    else:
        pen.polygon(place.put([(radius * a, radius * b) for a, b in _outline(thing)]), fill=ink)


def _digit(digit: str, place: _Place, rng: random.Random | None) -> tuple[Image.Image, int]:
    """A square mask of a digit and the length of its sides."""
    radius, side = place.radius, round(place.radius * 3)
    path = rng.choice(_fonts()) if rng else ""
    font = _font(path, max(8, round(radius * (rng.uniform(2.1, 2.7) if rng else 2.4))))
    stroke = round(radius * (rng.choice((0, 0, 0.05, 0.1)) if rng else 0.05))
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    left, top, right, bottom = pen.textbbox((0, 0), digit, font=font, stroke_width=stroke)
    at = ((side - right - left) / 2, (side - bottom - top) / 2)
    pen.text(at, digit, fill=255, font=font, stroke_width=stroke)
    return mask.rotate(-math.degrees(place.turn), Image.Resampling.BILINEAR), side


@cache
def _fonts() -> tuple[str, ...]:
    """Paths of the fonts of this machine that suit, and "" for the one that comes with Pillow."""
    found = (str(path) for pattern in _FONTS for path in sorted(_FONT_FOLDER.glob(pattern)))
    return ("", "", "", *found)


@cache
def _font(path: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


@cache
def _outline(shape: str) -> tuple[tuple[float, float], ...]:
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 40)
        x = np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    elif shape == "cross":
        x = np.array([-1, 1, 1, 3, 3, 1, 1, -1, -1, -3, -3, -1]) / 3
        y = np.array([-3, -3, -1, -1, 1, 1, 3, 3, 1, 1, -1, -1]) / 3
    else:
        corners = {"square": 4, "triangle": 3, "star": 10}[shape]
        angle = np.arange(corners) * 2 * np.pi / corners - np.pi / 2 + (np.pi / 4) * (corners == 4)
        far = np.where(np.arange(corners) % 2, 0.42, 1.0) if shape == "star" else 1.0
        x, y = far * np.cos(angle), far * np.sin(angle)
    return tuple((float(a), float(b)) for a, b in zip(x, y, strict=True))


def _camera(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Lighting from one side, white balance, blur, noise and JPEG."""
    width, height = picture.size
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.008) * height))
    values = np.asarray(picture, np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    ramp = (
        math.cos(angle) * np.linspace(-0.5, 0.5, width)[None, :, None]
        + math.sin(angle) * np.linspace(-0.5, 0.5, height)[:, None, None]
    ).astype(np.float32)
    balance = np.array([rng.uniform(0.93, 1.07) for _ in range(3)], np.float32)
    values = values * (rng.uniform(0.72, 1.12) + rng.uniform(0, 0.35) * ramp) * balance
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(
        values.shape, dtype=np.float32
    )
    values = values + rng.uniform(0, 10) * noise
    picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=rng.randint(35, 95))
        picture = Image.open(file).convert("RGB")
    return picture
