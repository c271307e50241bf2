"""What a recipe of vita-tiny takes: `vita train vita-tiny --dry-run`."""

from __future__ import annotations

from rich.table import Table
from safetensors import safe_open

from vita_model.tiny import WEIGHTS
from vita_model.training.export import PREFIXES
from vita_model.training.tiny_recipe import TinyRecipe, TinyStage
from vita_model.training.tiny_run import Place

NEEDS = {"listener": "train", "reader": "train", "codec": "speaker-train", "speller": "speaker-train", "speaker": "speaker-train"}  # fmt: skip
"""Kinds of shards by what learns from them."""


def table(recipe: TinyRecipe, place: Place) -> Table:
    """One row a stage: what learns, from where, how long, and whether its data is there."""
    data = recipe.data or place.work / "data"
    sizes = part_sizes(place)
    shown = Table(title=f"{recipe.name}: what training takes, one core", show_lines=True)
    shown.add_column("stage", max_width=20)
    for title in ("learns", "takes"):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("data", max_width=22)
    for stage in recipe.stages:
        shown.add_row(
            f"{stage.id}\n{stage.title}",
            f"{stage.learns}\n{sizes[stage.learns]:,}",
            f"from {stage.start or 'nothing'}\n{stage.steps:,} steps\nrate {stage.rate:g}",
            _data(stage, [path.name for path in data.glob("*.pt")] if data.exists() else []),
        )
    return shown


def part_sizes(place: Place) -> dict[str, int]:
    """Numbers that each part of the checkpoint holds, by what recipes call it."""
    counts = dict.fromkeys(PREFIXES, 0)
    with safe_open(str(place.checkpoint / WEIGHTS), "pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            for part, prefix in PREFIXES.items():
                if name.startswith(prefix) and not name.endswith(".scale"):
                    size = 1
                    for length in file.get_slice(name).get_shape():
                        size *= length
                    counts[part] += size
    return counts


def _data(stage: TinyStage, there: list[str]) -> str:
    kind = NEEDS.get(stage.learns)
    if kind is None:
        return "made while it trains"
    count = sum(name.startswith(f"{kind}-") for name in there)
    return f"{count} shards of {kind}" if count else f"missing: vita data synth ({kind})"
