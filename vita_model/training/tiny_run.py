"""Runs vita-tiny's stages one after the other and writes a checkpoint with what was learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.backbone import open_backbone
from vita_model.engine.chat import Chat
from vita_model.tiny import FOLDER
from vita_model.training import (
    codec,
    export,
    language,
    listener,
    pronunciation,
    reader,
    speaker,
    vision,
)
from vita_model.training.adapted import Adapted, Recipe
from vita_model.training.heard import Heard
from vita_model.training.loop import Run
from vita_model.training.own import Own
from vita_model.training.recipe import RecipeError
from vita_model.training.tiny_recipe import SHIPPED, TinyRecipe, TinyStage
from vita_model.training.trainer import Report, TrainingError

T = TypeVar("T")
HEARD_FILE = "heard-pictures.json"
CHECKPOINT = "checkpoint"


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a training lies.

    Attributes:
        work: Folder of states; `checkpoint` in it is the result.
        checkpoint: Weights to begin with, whose parts stay where nothing is trained anew.
        own: A business's own phrases for the language stages, or None.
    """

    work: Path
    checkpoint: Path = FOLDER
    own: Own | None = None

    def file(self, stage: TinyStage) -> Path:
        """The state of a stage."""
        return self.work / f"{stage.id}.pt"


def run_tiny(
    recipe: TinyRecipe,
    place: Place,
    *,
    stages: list[str] | None = None,
    resume: bool = False,
    save_every: int = 100,
    report: Callable[[TinyStage, Report], None] = lambda *_: None,
) -> Path | None:
    """Train; the folder of the new checkpoint, or None if it was stopped before the end.

    Raises:
        RecipeError: Something is there already, an option is unknown, or an earlier stage is missing.
        TrainingError: Data is missing, or a loss is no number any more.
    """
    chosen = [stage for stage in recipe.stages if stages is None or stage.id in stages]
    for stage in chosen:
        if place.file(stage).exists() and not resume:
            raise RecipeError(f"{place.file(stage)} is there already; --resume goes on with it.")
    done: dict[str, tuple[str, Path]] = {}
    for stage in recipe.stages:
        file = place.file(stage)
        if stage in chosen:
            run = Run(file, stage.seed, stage.pace(save_every), partial(report, stage))
            if not _train(recipe, stage, place, run):
                return None
        if file.exists():
            done[stage.learns] = (stage.id, file)
    made = place.work / CHECKPOINT
    export.renew({part: file for part, (_, file) in done.items()}, place.checkpoint, made)
    return made


def right_phrases(own: Own, checkpoint: Path) -> tuple[int, int]:
    """How many of a business's phrases are answered word for word, and of how many."""
    backbone = open_backbone()
    tokenizer: Tokenizer = backbone.tokenizer()
    delta = export.part(checkpoint, "language.")
    model = Adapted(backbone, Recipe(), Chat(tokenizer).trained_tokens, delta)
    right, asked, _ = language.examine(model, tokenizer, own.examined())
    return right, asked


def _train(recipe: TinyRecipe, stage: TinyStage, place: Place, run: Run) -> bool:
    data = recipe.data or place.work / "data"
    backbone = open_backbone()
    tokenizer = backbone.tokenizer()
    start = _start(recipe, stage, place)
    match stage.learns:
        case "language":
            heard = place.work / HEARD_FILE
            return language.train(
                backbone,
                run,
                _options(Recipe, stage),
                start=start,
                heard=Heard.read(heard, tokenizer) if heard.exists() else None,
                own=place.own,
            )
        case "vision":
            table = backbone.tensor("token_embd.weight")
            return vision.train(tokenizer, table, run, _options(vision.Settings, stage), start)
        case "listener":
            return listener.train(data, tokenizer, run, _options(listener.Settings, stage), start)
        case "reader":
            return reader.train(data, tokenizer, run, _options(reader.Settings, stage), start)
        case "codec" | "speller" | "speaker":
            return _train_voice(recipe, stage, place, run, data)


def _train_voice(recipe: TinyRecipe, stage: TinyStage, place: Place, run: Run, data: Path) -> bool:
    if stage.learns == "codec":
        return codec.train(data, run, _options(codec.Settings, stage))
    if stage.learns == "speller":
        return pronunciation.train(data, place.work, open_backbone().tokenizer(), run)
    coder = _before(recipe, stage, place, "codec")
    return speaker.train(data, codec.load(coder), run, _options(speaker.Settings, stage))


def _before(recipe: TinyRecipe, stage: TinyStage, place: Place, learns: str) -> Path:
    """The state of the newest stage before this one that trains a part."""
    found: Path | None = None
    for one in recipe.stages:
        if one.id == stage.id:
            break
        if one.learns == learns:
            found = place.file(one)
    if found is None or not found.exists():
        raise TrainingError(f"Stage {stage.id} needs a trained {learns}; run that stage first.")
    return found


def _start(recipe: TinyRecipe, stage: TinyStage, place: Place) -> Mapping[str, Tensor] | None:
    if stage.start is None:
        return None
    if stage.start == SHIPPED:
        return export.part(place.checkpoint, export.PREFIXES[stage.learns])
    file = place.file(recipe.stage(stage.start))
    if stage.learns == "language":
        file = file.with_suffix(".safetensors")
    if not file.exists():
        raise TrainingError(f"Stage {stage.id} starts from {stage.start}; run that stage first.")
    if stage.learns == "language":
        return language.load(file)
    model: Mapping[str, Tensor] = torch.load(file, weights_only=True)["model"]
    return model


def _options(kind: type[T], stage: TinyStage) -> T:
    known: dict[str, Any] = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := set(stage.options) - set(known):
        raise RecipeError(
            f"Stage {stage.id} has no option {', '.join(sorted(unknown))};"
            f" it knows {', '.join(sorted(known))}."
        )
    return kind(**stage.options)
