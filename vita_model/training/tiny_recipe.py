"""Recipes of vita-tiny: its stages have parts and losses of their own, but are written alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from vita_model.config import Config
from vita_model.training.loop import Pace
from vita_model.training.recipe import Count, Rate, RecipeError, Share

KIND = "vita-tiny"
Learns = Literal["language", "vision", "listener", "reader", "codec", "speller", "speaker"]
SHIPPED = "shipped"


class TinyStage(Config):
    """One stage.

    Attributes:
        id: Names its files.
        title: What it is for.
        learns: The part that learns, which also says how.
        start: `shipped` for the weights of the checkpoint, the id of an earlier stage, or nothing to
            begin from none.
        steps: Its length.
        rate: Learning rate after the warm-up.
        warmup: Steps over which it rises.
        fall: Share of the steps, at the end, over which it falls.
        largest_gradient: Longer gradients are cut to this norm.
        seed: Fixes order and noise.
        options: Settings of the part's own.
    """

    id: str = Field(pattern=r"^[\w.-]+$")
    title: str
    learns: Learns
    start: str | None = None
    steps: Count
    rate: Rate
    warmup: Count = 50
    fall: Share = 1.0
    largest_gradient: float = 1.0
    seed: int = 1
    options: dict[str, Any] = Field(default_factory=dict)

    def pace(self, save_every: int) -> Pace:
        """How the loop runs it."""
        return Pace(
            self.steps, self.rate, self.warmup, self.fall, self.largest_gradient, save_every
        )


class TinyRecipe(Config):
    """A whole training of vita-tiny.

    Attributes:
        name: What reports call it.
        kind: Says that this is one of these.
        data: Folder of the corpora, relative to the recipe; `data` in the work folder if left out.
        stages: In their order.
    """

    name: str
    kind: Literal["vita-tiny"]
    data: Path | None = None
    stages: list[TinyStage] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> TinyRecipe:
        known = {SHIPPED}
        for stage in self.stages:
            if stage.id in known:
                raise ValueError(f"two stages are called {stage.id}")
            if stage.start is not None and stage.start not in known:
                raise ValueError(
                    f"stage {stage.id} starts from {stage.start}, which is not before it"
                )
            known.add(stage.id)
        return self

    def stage(self, name: str) -> TinyStage:
        """The stage of that id.

        Raises:
            RecipeError: There is none.
        """
        for stage in self.stages:
            if stage.id == name:
                return stage
        known = ", ".join(stage.id for stage in self.stages)
        raise RecipeError(f"{self.name} has no stage {name!r}; its stages are {known}.")


def is_tiny(path: Path) -> bool:
    """Whether a recipe file is for vita-tiny."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    return isinstance(data, dict) and data.get("kind") == KIND


def read_tiny(path: Path) -> TinyRecipe:
    """Read and check a recipe.

    Raises:
        RecipeError: It says something that cannot be; every fault is named.
    """
    try:
        recipe = TinyRecipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = [f"  {' > '.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()]
        raise RecipeError("\n".join([f"{path} says what cannot be done:", *lines])) from None
    if recipe.data is None:
        return recipe
    return recipe.model_copy(update={"data": path.parent.resolve() / recipe.data})
