"""Stage 1.1 of vita-tiny's eye: pictures onto words of the language model's own table.

Drawn pictures of one thing (a shape or a digit) in one colour. The first half of the rows is drawn
to the colour's embedding row, the second half to the thing's, so the language model can read them.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.config import VisionConfig
from vita_model.vision.eye import Eye, pixels

COLOURS = {
    "red": (205, 40, 40),
    "green": (40, 150, 60),
    "blue": (40, 70, 200),
    "yellow": (235, 210, 50),
    "black": (25, 25, 25),
    "white": (240, 240, 240),
    "orange": (240, 140, 30),
    "purple": (130, 50, 160),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
THINGS = (*SHAPES, *"0123456789")
SIZES = VisionConfig(
    hidden_size=128,
    layers=4,
    heads=4,
    intermediate_size=384,
    patch_size=8,
    image_size=64,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the stage."""

    rate: float = 1e-3
    minutes: float = 6.0
    batch: int = 48
    seed: int = 5


def draw(rng: random.Random, colour: str, thing: str) -> Image.Image:
    """A picture of one thing, placed, sized and lit at random."""
    size = SIZES.image_size
    shade = rng.randint(90, 200)
    tint = [min(255, max(0, shade + rng.randint(-25, 25))) for _ in range(3)]
    picture = Image.new("RGB", (size, size), (tint[0], tint[1], tint[2]))
    pen = ImageDraw.Draw(picture)
    ink = tuple(min(255, max(0, value + rng.randint(-18, 18))) for value in COLOURS[colour])
    radius = rng.uniform(0.22, 0.42) * size
    x, y = (rng.uniform(radius, size - radius) for _ in range(2))
    turn = rng.uniform(-0.25, 0.25)
    if thing.isdigit():
        font = ImageFont.load_default(size=radius * 2.2)
        pen.text((x, y), thing, fill=ink, font=font, anchor="mm")
    elif thing == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    else:
        pen.polygon([(x + radius * a, y + radius * b) for a, b in _outline(thing, turn)], fill=ink)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(
        0, rng.uniform(0, 12), (size, size, 3)
    )
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _outline(shape: str, turn: float) -> list[tuple[float, float]]:
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
    cos, sin = np.cos(turn), np.sin(turn)
    points = zip(x * cos - y * sin, x * sin + y * cos, strict=True)
    return [(float(a), float(b)) for a, b in points]


def word_rows(tokenizer: Tokenizer, table: Tensor) -> tuple[Tensor, Tensor]:
    """Embedding rows of all colours and all things."""

    def rows(words: tuple[str, ...]) -> Tensor:
        ids = [tokenizer.encode(w if w.isdigit() else f" {w}").ids[0] for w in words]
        return table[torch.tensor(ids)].float()

    return rows(tuple(COLOURS)), rows(THINGS)


def train(tokenizer: Tokenizer, table: Tensor, folder: Path, recipe: Recipe) -> Eye:
    """Run or resume; writes `folder/vision.pt`, prints the share of right words on new pictures."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "vision.pt"
    eye = Eye(SIZES, table.shape[1])
    colours, things = word_rows(tokenizer, table)
    optimiser = torch.optim.AdamW(eye.parameters(), recipe.rate, betas=(0.9, 0.98))
    step, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        eye.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    rng = random.Random(recipe.seed + step)
    total = recipe.minutes * 60
    while spent < total:
        begin = time.process_time()
        for group in optimiser.param_groups:
            fall = max(0.02, 1 - spent / total)
            group["lr"] = recipe.rate * min(1.0, (step + 1) / 100) * fall
        losses, right = _losses(eye, colours, things, recipe.batch, rng)
        optimiser.zero_grad(set_to_none=True)
        losses.backward()
        torch.nn.utils.clip_grad_norm_(eye.parameters(), 1.0)
        optimiser.step()
        step += 1
        spent += time.process_time() - begin
        if step % 100 == 0 or spent >= total:
            print(json.dumps({"step": step, "loss": round(float(losses.detach()), 3), **right}))
            parts = {"model": eye.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**parts, "step": step, "spent": spent}, state_file)
    eye.eval()
    with torch.no_grad():
        _, right = _losses(eye, colours, things, 512, random.Random("test"))
    print(json.dumps({"test": right}), flush=True)
    return eye


def _losses(
    eye: Eye, colours: Tensor, things: Tensor, count: int, rng: random.Random
) -> tuple[Tensor, dict[str, float]]:
    names = [(rng.choice(tuple(COLOURS)), rng.choice(THINGS)) for _ in range(count)]
    rows = eye.rows(pixels([draw(rng, colour, thing) for colour, thing in names], SIZES.image_size))
    half = rows.shape[1] // 2
    total = torch.zeros(())
    right = {}
    parts = (("colour", colours, tuple(COLOURS), 0), ("thing", things, THINGS, 1))
    for key, table, words, place in parts:
        row = rows[:, place * half : (place + 1) * half].mean(1)
        wanted = torch.tensor([words.index(pair[place]) for pair in names])
        near = F.normalize(row, dim=-1) @ F.normalize(table, dim=-1).T
        total = total + F.cross_entropy(near * 16, wanted)
        total = total + 0.2 * F.mse_loss(row, table[wanted]) / table.square().mean()
        right[key] = round(float((near.argmax(1) == wanted).float().mean()), 3)
    return total, right


def load(folder: Path, width: int) -> Eye:
    """The trained eye for a language model of the given width."""
    eye = Eye(SIZES, width)
    eye.load_state_dict(torch.load(folder / "vision.pt", weights_only=True)["model"])
    return eye.eval()
