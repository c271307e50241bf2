"""Runs the stages of a recipe one after the other, each from what the one before it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from pydantic import ValidationError
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from tokenizers import Tokenizer

from vita_model.assembly import VitaModel, build_model, load_model
from vita_model.config import CodecConfig, Config
from vita_model.processor import VitaProcessor
from vita_model.training.conversations import read_examples
from vita_model.training.order import kept
from vita_model.training.parts import Learner
from vita_model.training.recipe import Recipe, RecipeError, Source, Stage
from vita_model.training.tasks.codec import Coding
from vita_model.training.tasks.codec import Options as CodecOptions
from vita_model.training.tasks.conversation import Conversations
from vita_model.training.tasks.conversation import Options as ConversationOptions
from vita_model.training.tasks.recordings import Recording, read_recordings
from vita_model.training.tasks.speech import Speaking
from vita_model.training.tasks.task import Task, TaskError
from vita_model.training.tasks.transcription import Transcription, inventory
from vita_model.training.trainer import Report, Trainer, make_accelerator

T = TypeVar("T")
C = TypeVar("C", bound=Config)

UNITS_FILE = "units.json"
HEADS = ("transcriber", "state_head")


@dataclass(frozen=True, slots=True)
class Made:
    """What a stage was given and made.

    Attributes:
        stage: Its id.
        checkpoint: Folder of the trained model, or None if it was stopped before its end.
        step: Steps done.
    """

    stage: str
    checkpoint: Path | None
    step: int


def run_recipe(
    recipe: Recipe,
    work: Path,
    *,
    stages: list[str] | None = None,
    resume: bool = False,
    save_every: int = 500,
    report: Callable[[Stage, Report], None] = lambda *_: None,
    accelerator: Accelerator | None = None,
) -> list[Made]:
    """Train.

    Args:
        recipe: What is done.
        work: Each stage has a folder in it: states, TensorBoard files and `checkpoint`.
        stages: Only these, in the recipe's order; each begins with what the one before it left in
            `work`, or with the recipe's model.
        resume: Go on where states are found; finished stages are passed over.
        save_every: Steps between states.
        report: Called after every step of the main process.
        accelerator: For tests; made from the recipe otherwise.

    Raises:
        RecipeError: A stage lacks its data, or its model was only planned with.
        DatasetError: Examples cannot be used.
        TaskError: The model lacks what a task needs.
        MissingPartError: A stage trains what the model does not have.
        TrainingError: A loss is no number any more.
    """
    if recipe.model == "published":
        raise RecipeError(f"{recipe.name} names no folder of weights to begin with; set `model`.")
    accelerator = accelerator or make_accelerator(recipe)
    wanted = [recipe.stage(name) for name in stages] if stages else recipe.stages
    made: list[Made] = []
    start = Path(recipe.model)
    for stage in recipe.stages:
        folder = work / stage.id
        done = folder / "checkpoint"
        if stage not in wanted or (resume and (done / UNITS_FILE).is_file()):
            start = done if done.is_dir() else start
            continue
        trainer = _trainer(recipe, stage, start, folder, accelerator)
        if resume:
            trainer.resume()
        elif next(folder.glob("state-*"), None) is not None:
            raise RecipeError(f"{folder} holds a stage that was begun; give --resume, or empty it.")

        def tell(step: Report, stage: Stage = stage) -> None:
            if accelerator.is_main_process:
                report(stage, step)

        finished = trainer.run(tell, save_every=save_every)
        if finished:
            _save(trainer.learner, start, done, accelerator)
        made.append(Made(stage.id, done if finished else None, trainer.step))
        if not finished:
            break
        start = done
    return made


def _trainer(
    recipe: Recipe, stage: Stage, start: Path, folder: Path, accelerator: Accelerator
) -> Trainer:
    set_seed(recipe.seed)
    model = _in_training(load_model(start))
    processor = VitaProcessor.from_pretrained(start)
    known = _known_units(start)
    task = make_task(recipe, stage, model, processor.tokenizer, known)
    units = task.units if isinstance(task, Transcription) else known
    head = "state_head" in stage.learns or (start / "state_head.safetensors").is_file()
    learner = Learner(model, units=None if units is None else len(units), state_head=head)
    for name in HEADS:
        saved = start / f"{name}.safetensors"
        module = getattr(learner, name)
        if module is not None and saved.is_file():
            load_weights(module, str(saved))
    if recipe.gradient_checkpointing and stage.task == "conversation":
        learner.language.activation_checkpointing_enable({"use_reentrant": False})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNITS_FILE).write_text(json.dumps({"units": units}))
    return Trainer(
        learner, task, stage=stage, recipe=recipe, folder=folder, accelerator=accelerator
    )


def _in_training(model: VitaModel) -> VitaModel:
    """Loaded weights are fixed and may be of few bits; what learns is in float32."""
    for module in (model.language, model.speech, model.codec):
        if module is not None:
            torch.nn.Module.float(module)
    return model


def _known_units(start: Path) -> str | None:
    """Characters that the transcriber of a checkpoint was made with, if it has one."""
    file = start / UNITS_FILE
    found = json.loads(file.read_text())["units"] if file.is_file() else None
    return None if found is None else str(found)


def make_task(
    recipe: Recipe, stage: Stage, model: VitaModel, tokenizer: Tokenizer, known_units: str | None
) -> Task:
    """The task of a stage with its data read and checked.

    Args:
        recipe: Says how long rows are.
        stage: Which task, which data.
        model: What it will be for.
        tokenizer: The model's.
        known_units: Characters of the transcriber that the model has; None when it has none.

    Raises:
        RecipeError: A source has no path, or the task has no such options.
        DatasetError: Examples cannot be used.
        TaskError: The model lacks what the task needs.
    """
    config = model.config
    match stage.task:
        case "conversation":
            examples = [
                one
                for source in stage.data
                for one in _part(read_examples(_path(stage, source)), source)
            ]
            return Conversations(
                examples,
                tokenizer,
                config,
                packing=stage.packing,
                max_length=recipe.max_length,
                weights=stage.weights,
                options=_options(ConversationOptions, stage),
            )
        case "transcription":
            bins = int(getattr(config.audio, "mel_bins", 80))
            recordings = _recordings(stage)
            if known_units is None and "transcriber" not in stage.learns:
                raise TaskError(f"Stage {stage.id} has no transcriber; let `transcriber` learn.")
            return Transcription(recordings, known_units or inventory(recordings), bins)
        case "codec" | "speech":
            if not isinstance(config.codec, CodecConfig):
                raise TaskError(f"Stage {stage.id} needs a model with a codec of its own.")
            if stage.task == "codec":
                return Coding(
                    _recordings(stage, texts=False),
                    config.codec,
                    weights=stage.weights,
                    options=_options(CodecOptions, stage),
                )
            if model.speech is None:
                raise TaskError(f"Stage {stage.id} needs a model with a speech decoder.")
            return Speaking(_recordings(stage), tokenizer, config.codec)


def _options(kind: type[C], stage: Stage) -> C:
    try:
        return kind.model_validate(stage.options)
    except ValidationError as error:
        fault = error.errors()[0]
        where = " > ".join(["options", *(str(step) for step in fault["loc"])])
        raise RecipeError(f"Stage {stage.id}: {where}: {fault['msg']}.") from None


def _path(stage: Stage, source: Source) -> Path:
    if source.path is None:
        raise RecipeError(
            f"Stage {stage.id} has no data for {source.name}; give its path in the recipe."
        )
    return source.path


def _part(found: list[T], source: Source) -> list[T]:
    return [found[index] for index in kept(len(found), source.share)]


def _recordings(stage: Stage, *, texts: bool = True) -> list[Recording]:
    return [
        one
        for source in stage.data
        for one in _part(read_recordings(_path(stage, source), texts=texts), source)
    ]


def _save(learner: Learner, start: Path, folder: Path, accelerator: Accelerator) -> None:
    """Write the model so that the next stage and `vita model` read it."""
    state = accelerator.get_state_dict(learner) if accelerator.is_fsdp2 else None
    if accelerator.is_main_process:
        whole = _gathered(learner, state) if state is not None else learner
        language = whole.language
        language.whole = VitaModel(language.vita_config, language, whole.speech, whole.codec)
        language.save_pretrained(folder)
        VitaProcessor.from_pretrained(start).save_pretrained(folder)
        for name in HEADS:
            module = getattr(whole, name)
            if module is not None:
                save_weights(module, str(folder / f"{name}.safetensors"))
        units = folder.parent / UNITS_FILE
        (folder / UNITS_FILE).write_bytes(units.read_bytes())
    accelerator.wait_for_everyone()


def _gathered(learner: Learner, state: dict[str, torch.Tensor]) -> Learner:
    """The whole model of weights that lie spread over devices."""
    with torch.device("meta"):
        model = build_model(learner.config)
        units = None if learner.transcriber is None else learner.transcriber.out_features - 1
        whole = Learner(model, units=units, state_head=learner.state_head is not None)
    whole.load_state_dict(state, assign=True, strict=False)
    return whole
