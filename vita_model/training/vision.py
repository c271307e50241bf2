"""Stage 1.1 of vita-tiny's eye: pictures onto words of the language model's own table.

Drawn pictures of one thing (a shape or a digit) in one colour, or of nothing. The first half of the
rows is drawn towards the colour's embedding row, the second half towards the thing's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.config import VisionConfig
from vita_model.training.loop import Run, train_steps
from vita_model.training.pictures import Shown, draw, random_shown
from vita_model.vision.eye import Eye, pixels
from vita_model.vision.words import COLOURS, NOTHING, THINGS, Sight

NO_COLOUR = -100
"""Label of a colour nobody can tell."""
SHARPNESS = 16.0
DRAWN = (192, 144)
"""Size of training pictures; a third of a tile's detail is enough and quick."""

SIZES = VisionConfig(
    hidden_size=128,
    layers=4,
    heads=4,
    intermediate_size=384,
    patch_size=8,
    image_size=64,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Pictures of a step: drawn anew, and seen before."""

    new: int = 24
    old: int = 40


class _Gallery:
    """Pictures to learn from: some new ones in every step, the others seen before and moved."""

    def __init__(self, seed: int, kept: int = 12_000) -> None:
        self._seed = seed
        self._kept = kept
        self._known: dict[int, tuple[Tensor, Shown]] = {}

    def _picture(self, number: int) -> tuple[Tensor, Shown]:
        if number not in self._known:
            rng = random.Random(f"picture-{self._seed}-{number}")
            shown = random_shown(rng)
            tile = pixels([draw(rng, shown, DRAWN)], SIZES.image_size)[0]
            self._known[number] = (tile.half(), shown)
            self._known.pop(number - self._kept, None)
        return self._known[number]

    def batch(
        self, step: int, rng: random.Random, new: int, old: int
    ) -> tuple[Tensor, list[Shown]]:
        """Pixels `[n, 3, size, size]` and what they show."""
        first = step * new
        fresh = [self._picture(first + index) for index in range(new)]
        earlier = range(max(0, first - self._kept + new), first)
        seen = [self._picture(rng.choice(earlier)) for _ in range(old if earlier else 0)]
        moved = [_moved(tile.float(), rng) for tile, _ in seen]
        tiles = torch.stack([*(tile.float() for tile, _ in fresh), *moved])
        return tiles, [shown for _, shown in (*fresh, *seen)]


def _moved(tile: Tensor, rng: random.Random) -> Tensor:
    size = tile.shape[-1]
    padded = F.pad(tile[None], (4, 4, 4, 4), mode="replicate")[0]
    left, top = rng.randint(0, 8), rng.randint(0, 8)
    moved = padded[:, top : top + size, left : left + size]
    return moved * rng.uniform(0.85, 1.15) + rng.uniform(-0.2, 0.2)


def train(
    tokenizer: Tokenizer,
    table: Tensor,
    run: Run,
    settings: Settings,
    start: Mapping[str, Tensor] | None = None,
) -> bool:
    """Run or resume; `start` holds the weights of an eye to go on from."""
    torch.manual_seed(run.seed)
    state = run.state()
    eye = Eye(SIZES, table.shape[1])
    if start is not None:
        eye.load_state_dict(dict(start))
    sight = Sight(tokenizer, table)
    optimiser = torch.optim.AdamW(eye.parameters(), run.pace.rate, betas=(0.9, 0.98))
    gallery = _Gallery(run.seed)

    def loss_of(step: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        tiles, names = gallery.batch(step, rng, settings.new, settings.old)
        return _losses(eye.rows(tiles), names, sight)

    return train_steps(run, eye, optimiser, loss_of, state=state)


def _losses(rows: Tensor, names: list[Shown], sight: Sight) -> tuple[Tensor, dict[str, float]]:
    total = torch.zeros(())
    right = {}
    colours = [NO_COLOUR if n.thing == NOTHING else COLOURS.index(n.colour) for n in names]
    labels = {"colour": colours, "thing": [THINGS.index(n.thing) for n in names]}
    for (kind, places), scores in zip(labels.items(), sight.scores(rows), strict=True):
        wanted = torch.tensor(places)
        total = total + F.cross_entropy(scores * SHARPNESS, wanted, ignore_index=NO_COLOUR)
        told = wanted != NO_COLOUR
        right[kind] = round(float((scores.argmax(1) == wanted)[told].float().mean()), 3)
    return total, right


@torch.no_grad()
def rates(eye: Eye, sight: Sight, count: int, seed: str = "test") -> dict[str, float]:
    """Share of pictures never seen whose colour and thing are named right."""
    rng = random.Random(seed)
    names = [random_shown(rng) for _ in range(count)]
    rows = eye.rows(pixels([draw(rng, name) for name in names], SIZES.image_size))
    return _losses(rows, names, sight)[1]


def load(file: Path, width: int) -> Eye:
    """The trained eye for a language model of the given width."""
    eye = Eye(SIZES, width)
    eye.load_state_dict(torch.load(file, weights_only=True)["model"])
    return eye.eval()
