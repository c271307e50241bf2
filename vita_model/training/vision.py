"""Stage 1.1 of vita-tiny's eye: pictures onto words of the language model's own table.

Drawn pictures of one thing (a shape or a digit) in one colour, or of nothing. The first half of the
rows is drawn towards the colour's embedding row, the second half towards the thing's.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.config import VisionConfig
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
class Recipe:
    """Settings of the stage."""

    rate: float = 1e-3
    minutes: float = 6.0
    new: int = 24
    old: int = 40
    seed: int = 5


class _Gallery:
    """Pictures to learn from: some new ones in every batch, the others seen before and moved."""

    def __init__(self, rng: random.Random, kept: int = 12_000) -> None:
        self._rng = rng
        self._kept = kept
        self._tiles: list[Tensor] = []
        self._names: list[Shown] = []

    def batch(self, new: int, old: int) -> tuple[Tensor, list[Shown]]:
        """Pixels `[n, 3, size, size]` and what they show."""
        names = [random_shown(self._rng) for _ in range(new)]
        fresh = pixels([draw(self._rng, name, DRAWN) for name in names], SIZES.image_size)
        chosen = [self._rng.randrange(len(self._tiles)) for _ in range(old if self._tiles else 0)]
        seen = [self._moved(self._tiles[index].float()) for index in chosen]
        batch = torch.cat([fresh, torch.stack(seen)]) if seen else fresh
        told = [*names, *(self._names[index] for index in chosen)]
        for tile, name in zip(fresh.half(), names, strict=True):
            if len(self._tiles) < self._kept:
                self._tiles.append(tile)
                self._names.append(name)
            else:
                place = self._rng.randrange(self._kept)
                self._tiles[place], self._names[place] = tile, name
        return batch, told

    def _moved(self, tile: Tensor) -> Tensor:
        size = tile.shape[-1]
        padded = F.pad(tile[None], (4, 4, 4, 4), mode="replicate")[0]
        left, top = self._rng.randint(0, 8), self._rng.randint(0, 8)
        moved = padded[:, top : top + size, left : left + size]
        return moved * self._rng.uniform(0.85, 1.15) + self._rng.uniform(-0.2, 0.2)


def train(
    tokenizer: Tokenizer,
    table: Tensor,
    folder: Path,
    recipe: Recipe,
    start: Mapping[str, Tensor] | None = None,
) -> Eye:
    """Run or resume; writes `folder/vision.pt`, prints the share of right words on new pictures.

    `start` holds the weights of an eye to go on from.
    """
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "vision.pt"
    eye = Eye(SIZES, table.shape[1])
    if start is not None:
        eye.load_state_dict(dict(start))
    sight = Sight(tokenizer, table)
    optimiser = torch.optim.AdamW(eye.parameters(), recipe.rate, betas=(0.9, 0.98))
    step, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        eye.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    rng = random.Random(recipe.seed + step)
    gallery = _Gallery(rng)
    total = recipe.minutes * 60
    while spent < total:
        begin = time.process_time()
        for group in optimiser.param_groups:
            fall = max(0.02, 1 - spent / total)
            group["lr"] = recipe.rate * min(1.0, (step + 1) / 100) * fall
        tiles, names = gallery.batch(recipe.new, recipe.old)
        losses, right = _losses(eye.rows(tiles), names, sight)
        optimiser.zero_grad(set_to_none=True)
        losses.backward()
        torch.nn.utils.clip_grad_norm_(eye.parameters(), 1.0)
        optimiser.step()
        step += 1
        spent += time.process_time() - begin
        if step % 100 == 0 or spent >= total:
            line = {"step": step, "minutes": round(spent / 60, 2)}
            print(
                json.dumps({**line, "loss": round(float(losses.detach()), 3), **right}), flush=True
            )
            parts = {"model": eye.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**parts, "step": step, "spent": spent}, state_file)
    eye.eval()
    print(json.dumps({"test": rates(eye, sight, 512)}), flush=True)
    return eye


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


def load(folder: Path, width: int) -> Eye:
    """The trained eye for a language model of the given width."""
    eye = Eye(SIZES, width)
    eye.load_state_dict(torch.load(folder / "vision.pt", weights_only=True)["model"])
    return eye.eval()
