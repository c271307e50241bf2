"""Trains and asks every arm with every seed; what is done already is not done again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate.utils import set_seed
from safetensors.torch import load_model, save_model

from vita_model.assembly import build_model
from vita_model.config import VitaConfig
from vita_model.evaluation.claim import measure
from vita_model.evaluation.claim.arms import ARMS, GROUND, RATES, SMALL, Step
from vita_model.evaluation.claim.measure import Counts, Size
from vita_model.evaluation.claim.mixture import Mixture
from vita_model.evaluation.claim.sounds import Lexicon
from vita_model.evaluation.claim.world import TOKENS
from vita_model.evaluation.suite import EvaluationError
from vita_model.training.parts import Learner
from vita_model.training.recipe import Batch, Optimiser, Recipe, Source, Stage
from vita_model.training.trainer import Report, Trainer, make_accelerator

_WEIGHTS = "weights.safetensors"
_FIGURES = "figures.json"
_SAVE_EVERY = 200


@dataclass(frozen=True, slots=True)
class Result:
    """One arm with one seed.

    Attributes:
        arm: Its name.
        seed: Of weights and examples.
        path: Names of its stages, and what was right after each of them.
        end: All measures after the last.
    """

    arm: str
    seed: int
    path: Sequence[tuple[str, Counts]]
    end: Counts


@dataclass(frozen=True, slots=True)
class Doing:
    """How far a run is."""

    seed: int
    arm: str
    stage: str
    step: int
    steps: int


class StoppedError(Exception):
    """A run was asked to stop, and has saved where it was."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all arms share.

    Attributes:
        lexicon: The spoken words.
        work: Each stage has a folder in it; stages that arms share are trained once.
        config: The model.
        ground: The stage all begin with.
        size: Of the test.
        report: Called after every step.
    """

    lexicon: Lexicon
    work: Path
    config: VitaConfig = SMALL
    ground: Step = GROUND
    size: Size = field(default_factory=Size)
    report: Callable[[Doing], None] = lambda _: None


def run_arms(
    setting: Setting, seeds: Sequence[int], arms: Mapping[str, tuple[Step, ...]] = ARMS
) -> list[Result]:
    """All arms of a seed before the next seed.

    Raises:
        StoppedError: A signal came; the same call goes on.
    """
    found = []
    for seed in seeds:
        for arm, stages in arms.items():
            start: Path | None = None
            path: list[tuple[str, Counts]] = []
            for stage in (setting.ground, *stages):
                start = _stage(setting, stage, start, seed, arm)
                counts = _measured(setting, start, seed, last=stage is stages[-1])
                path.append((stage.name, counts))
            found.append(Result(arm, seed, path, path[-1][1]))
    return found


def finished(work: Path, arms: Mapping[str, tuple[Step, ...]] = ARMS) -> list[Result]:
    """Results of all arms and seeds that are done in a folder.

    Raises:
        EvaluationError: None is.
    """
    found = []
    for folder in sorted(work.glob("seed-*")):
        for arm, stages in arms.items():
            path = [(stage.name, _stored(folder, stage)) for stage in stages]
            whole = [(name, counts) for name, counts in path if counts is not None]
            if len(whole) == len(path) and measure.WRITTEN in whole[-1][1]:
                seed = int(folder.name.removeprefix("seed-"))
                found.append(Result(arm, seed, whole, whole[-1][1]))
    if not found:
        raise EvaluationError(f"{work} holds no arm that is done; leave --report-only out.")
    return found


def _stored(seed_folder: Path, stage: Step) -> Counts | None:
    file = seed_folder / stage.name.replace(" ", "-") / _FIGURES
    if not file.is_file():
        return None
    stored = json.loads(file.read_text(encoding="utf-8"))
    return {name: (float(a), float(b)) for name, (a, b) in stored.items()}


def _learner(config: VitaConfig, seed: int, weights: Path | None) -> Learner:
    set_seed(seed)
    model = build_model(config)
    learner = Learner(model, units=len(TOKENS) - 1)
    if weights is not None:
        load_model(learner, str(weights / _WEIGHTS))
    return learner


def _stage(setting: Setting, stage: Step, start: Path | None, seed: int, arm: str) -> Path:
    """Train one stage if it is not done; its folder."""
    folder = setting.work / f"seed-{seed}" / stage.name.replace(" ", "-")
    if (folder / _WEIGHTS).is_file():
        return folder
    lexicon = setting.lexicon
    recipe = _recipe(stage, seed)
    learner = _learner(setting.config, seed, start)
    if start is None:
        encoder = learner.language.model.audio_encoder.encoder
        encoder.global_cmvn.mean.copy_(lexicon.mean)
        encoder.global_cmvn.istd.copy_(lexicon.scale)
    trainer = Trainer(
        learner,
        Mixture(lexicon, stage.totals, stage.steps, seed),
        stage=recipe.stages[0],
        recipe=recipe,
        folder=folder,
        accelerator=make_accelerator(recipe),
    )
    trainer.resume()

    def tell(step: Report) -> None:
        setting.report(Doing(seed, arm, stage.name, step.step, step.steps))

    if not trainer.run(tell, save_every=_SAVE_EVERY):
        raise StoppedError
    part = folder / f"part-{_WEIGHTS}"
    save_model(trainer.learner, str(part))
    part.replace(folder / _WEIGHTS)
    for state in folder.glob("state-*"):
        shutil.rmtree(state)
    return folder


def _recipe(stage: Step, seed: int) -> Recipe:
    rates = {part: RATES[part] for part in stage.learns}
    made = Stage(
        id=stage.name.replace(" ", "-"),
        title=stage.name,
        task="conversation",
        data=[Source(name="the small world")],
        learns=list(stage.learns),
        optimiser=Optimiser(rate=1e-3, rates=rates, warmup=0.05),
        batch=Batch(per_device=1),
        steps=stage.steps,
    )
    return Recipe(name="claim", precision="float32", seed=seed, stages=[made])


def _measured(setting: Setting, folder: Path, seed: int, *, last: bool) -> Counts:
    """The measures of a stage's weights: seeing after each, all of them after an arm's last."""
    file = folder / _FIGURES
    if file.is_file():
        stored = json.loads(file.read_text(encoding="utf-8"))
        if not last or measure.WRITTEN in stored:
            return {name: (float(a), float(b)) for name, (a, b) in stored.items()}
    learner = _learner(setting.config, seed, folder)
    ask = measure.everything if last else measure.seeing
    found = ask(learner, setting.lexicon, seed, setting.size)
    file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def one_thread() -> None:
    """Small layers are quickest with one thread, and two runs may then share a machine."""
    torch.set_num_threads(1)
