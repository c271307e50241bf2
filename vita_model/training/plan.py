"""What a recipe takes, found out without weights or data: `vita train RECIPE --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

from vita_model.assembly import build_model, read_config
from vita_model.config import VitaConfig
from vita_model.training.parts import Learner, Part
from vita_model.training.recipe import Recipe, Stage

PROMPT_ROWS = 25
"""Learned rows before every utterance, where a recipe trains them and the model has none."""
_STATE_BYTES = 12
"""AdamW keeps two moments and the float32 weight of every parameter that learns."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What one stage takes.

    Attributes:
        stage: The stage.
        learning: Parameters that learn, by part.
        frozen: Parameters that do not.
        examples: Examples of one pass; None where a source says neither its size nor a path.
        steps: Steps, or None likewise.
        positions: Positions of the language model a step holds at most; None for other tasks.
        device_bytes: Memory of each device for weights, gradients and optimiser, and activations of
            the language model where they are kept only between its layers.
    """

    stage: Stage
    learning: dict[Part, int]
    frozen: int
    examples: int | None
    steps: int | None
    positions: int | None
    device_bytes: int


def plan(recipe: Recipe) -> list[StagePlan]:
    """Build the model without weights and count.

    Raises:
        CheckpointError: The recipe's model cannot be read.
        MissingPartError: A stage trains what the model does not have.
    """
    config = VitaConfig() if recipe.model == "published" else read_config(Path(recipe.model))
    wants_rows = any("audio_prompt" in stage.learns for stage in recipe.stages)
    if wants_rows and not config.audio_prompt_rows:
        config = config.model_copy(update={"audio_prompt_rows": PROMPT_ROWS})
    with torch.device("meta"):
        learner = Learner(build_model(config), units=_units(config), state_head=True)
    return [_stage(recipe, stage, learner) for stage in recipe.stages]


def _units(config: VitaConfig) -> int:
    """Outputs of the transcriber: tokens of the language model, as no data is at hand."""
    return config.language.vocab_size


def _stage(recipe: Recipe, stage: Stage, learner: Learner) -> StagePlan:
    learner.let_learn(stage.learns)
    counts = learner.count()
    learning = {part: counts[part] for part in stage.learns}
    frozen = sum(counts.get(part, 0) for part in _used(stage) if part not in learning)
    sizes = [source.examples for source in stage.data]
    examples = None
    if all(size is not None for size in sizes):
        examples = sum(round(s.share * (s.examples or 0)) for s in stage.data)
    steps = None if examples is None and stage.steps is None else stage.steps_of(examples or 1)
    positions = None
    if stage.task == "conversation":
        positions = stage.batch.total * recipe.max_length
    return StagePlan(
        stage=stage,
        learning=learning,
        frozen=frozen,
        examples=examples,
        steps=steps,
        positions=positions,
        device_bytes=_memory(recipe, stage, learner.config, sum(learning.values()), frozen),
    )


def _used(stage: Stage) -> Sequence[Part]:
    """Parts that a stage runs through."""
    match stage.task:
        case "conversation":
            return (
                "vision",
                "projector",
                "audio_encoder",
                "audio_adapter",
                "audio_prompt",
                "language",
            )
        case "transcription":
            return ("audio_encoder",)
        case "codec":
            return ("codec",)
        case "speech":
            return ("codec", "speech")


def _memory(recipe: Recipe, stage: Stage, config: VitaConfig, learning: int, frozen: int) -> int:
    """Bytes on each device; activations inside a layer and of the towers are not counted."""
    width = 2 if recipe.precision == "bfloat16" else 4
    spread = stage.batch.devices if recipe.sharded else 1
    weights = (learning * (2 * width + _STATE_BYTES) + frozen * width) // spread
    language = config.language
    kept = 0
    if stage.task == "conversation":
        layers = language.layers if recipe.gradient_checkpointing else language.layers * 16
        kept = stage.batch.per_device * recipe.max_length * language.hidden_size * layers * width
    return weights + kept


def table(recipe: Recipe, plans: Sequence[StagePlan]) -> Table:
    """The plan for people."""
    shown = Table(title=f"{recipe.name}: what training takes", show_lines=True)
    shown.add_column("stage", max_width=17)
    shown.add_column("learns", no_wrap=True)
    shown.add_column("parameters", justify="right", no_wrap=True)
    shown.add_column("takes", justify="right", no_wrap=True)
    for one in plans:
        stage = one.stage
        parts = [
            f"{part} (x{stage.optimiser.rates[part] / stage.optimiser.rate:g})"
            if part in stage.optimiser.rates
            else part
            for part in one.learning
        ]
        takes = {
            "examples": one.examples,
            "steps": one.steps,
            "rows a step": one.positions,
            "devices": stage.batch.devices,
        }
        shown.add_row(
            f"{stage.id} {stage.title}\nrate {stage.optimiser.rate:g}\nbatch {stage.batch.total}",
            "\n".join([*parts, "fixed"]),
            "\n".join(f"{count:,}" for count in [*one.learning.values(), one.frozen]),
            "\n".join(
                [
                    *(f"{count:,} {what}" for what, count in takes.items() if count is not None),
                    f"{one.device_bytes / 1e9:.1f} GB a device",
                ]
            ),
        )
    return shown


def disagreements(recipe: Recipe) -> list[str]:
    """Where paper and published code do not say the same, one line each."""
    return [f"{stage.id}: {line}" for stage in recipe.stages for line in stage.disagreements]
