"""What a training recipe says: stages, their data, what learns, how fast, and in which order.

A recipe is a YAML file. `read_recipe` checks all of it before anything is built, so that a slip in
the last stage does not show after days of training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from vita_model.config import Config
from vita_model.training.parts import Part

FOLDER = Path(__file__).with_name("recipes")

TaskName = Literal["conversation", "transcription", "codec", "speech"]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0)]


class RecipeError(ValueError):
    """A recipe cannot be used; the message says where and why."""


class Source(Config):
    """Examples of one kind.

    Attributes:
        name: What reports call it.
        path: The dataset file, relative to the recipe or absolute; None in a recipe that is only
            planned with.
        share: How much of it is used; always the same part of it.
        examples: Its size, for planning where the data is not at hand.
    """

    name: str
    path: Path | None = None
    share: Share = 1.0
    examples: Count | None = None


class Optimiser(Config):
    """AdamW, its rate over the steps, and the largest norm of a gradient."""

    rate: Rate
    rates: dict[Part, Rate] = Field(default_factory=dict)
    """Rates of parts that learn faster or slower than the rest."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps over which the rate rises."""
    largest_gradient: Annotated[float, Field(gt=0)] = 1.0


class Batch(Config):
    """Examples of one step: on each device, times repeats before the step, times devices."""

    per_device: Count = 1
    accumulation: Count = 1
    devices: Count = 1
    """Devices the recipe was written for; with others the accumulation makes up for it."""

    @property
    def total(self) -> int:
        """Examples of one step."""
        return self.per_device * self.accumulation * self.devices

    def accumulated(self, devices: int) -> int:
        """Repeats on so many devices that a step has the same number of examples."""
        return max(1, round(self.total / (self.per_device * devices)))


class Stage(Config):
    """One stage: what it starts from, what it reads, and what learns.

    Attributes:
        id: Its number in the paper; names its folder.
        title: What it is for.
        task: How examples become a loss.
        data: What is mixed, in proportion to what each source has.
        learns: Parts that learn. All others stay as they are.
        optimiser: See there.
        batch: See there.
        epochs: Passes over the data; not with `steps`.
        steps: Length in steps; not with `epochs`.
        packing: `apart` joins short conversations in one row and keeps each to itself, `joined`
            lets later ones see earlier ones as the published code does, `none` pads.
        weights: Weights of the losses; a name missing here counts once.
        options: Settings of the task itself.
        disagreements: Where paper and published code do not say the same.
    """

    id: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    title: str
    task: TaskName
    data: list[Source] = Field(min_length=1)
    learns: list[Part] = Field(min_length=1)
    optimiser: Optimiser
    batch: Batch = Batch()
    epochs: Annotated[float, Field(gt=0)] | None = None
    steps: Count | None = None
    packing: Literal["none", "apart", "joined"] = "none"
    weights: dict[str, float] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    disagreements: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if len(set(self.learns)) != len(self.learns):
            raise ValueError("a part is named twice under learns")
        frozen = set(self.optimiser.rates) - set(self.learns)
        if frozen:
            raise ValueError(f"rates are given for parts that do not learn: {sorted(frozen)}")
        return self

    def steps_of(self, examples: int) -> int:
        """Steps of the stage over so many examples."""
        if self.steps is not None:
            return self.steps
        return max(1, round((self.epochs or 1) * examples / self.batch.total))


class Recipe(Config):
    """A whole training.

    Attributes:
        name: What reports call it.
        model: Folder of the checkpoint to begin with, or `published` for the shapes of VITA-1.5.
        precision: Type of numbers in the passes; weights that learn are kept in float32.
        seed: Fixes order and noise.
        max_length: Longest row in positions.
        gradient_checkpointing: Compute activations of the language model twice to save memory.
        sharded: Spread weights, gradients and optimiser over the devices (FSDP).
        stages: In their order.
    """

    name: str
    model: str = "published"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = 0
    max_length: Count = 6200
    gradient_checkpointing: bool = True
    sharded: bool = False
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        ids = [stage.id for stage in self.stages]
        if len(set(ids)) != len(ids):
            raise ValueError("two stages have the same id")
        return self

    def stage(self, name: str) -> Stage:
        """The stage of that id.

        Raises:
            RecipeError: There is none.
        """
        for stage in self.stages:
            if stage.id == name:
                return stage
        known = ", ".join(stage.id for stage in self.stages)
        raise RecipeError(f"{self.name} has no stage {name!r}; its stages are {known}.")


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe given by path or by the name of one that is shipped.

    Raises:
        RecipeError: There is no such file.
    """
    path = Path(name)
    for candidate in (path, FOLDER / path, FOLDER / f"{path}.yaml"):
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(file.name for file in FOLDER.glob("*.yaml")))
    raise RecipeError(f"There is no recipe {name}; give a file, or one of {known}.")


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; paths in it become absolute.

    Raises:
        RecipeError: It is no YAML, or says something that cannot be; every fault is named.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        lines = [f"  {_place(data, fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise RecipeError("\n".join([f"{path} says what cannot be done:", *lines])) from None
    base = path.parent.resolve()

    def absolute(source: Source) -> Source:
        if source.path is None:
            return source
        return source.model_copy(update={"path": base / source.path})

    stages = [
        stage.model_copy(update={"data": [absolute(source) for source in stage.data]})
        for stage in recipe.stages
    ]
    model = recipe.model
    if model != "published" and not Path(model).is_absolute():
        model = str(base / model)
    return recipe.model_copy(update={"stages": stages, "model": model})


def _place(data: Any, location: tuple[int | str, ...]) -> str:
    """Where in the file, with the id of a stage in place of its number."""
    words: list[str] = []
    value = data
    for step in location:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
        known = value.get("id") if isinstance(value, dict) else None
        words.append(f"stage {known}" if known and isinstance(step, int) else str(step))
    return " > ".join(words) or "the file"
