"""A little of every stage of vita-tiny: it learns, and is exactly the same after a stop."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
import yaml

from tests.training.tiny_data import corpora
from vita_model.tiny import FOLDER
from vita_model.training.own import Own
from vita_model.training.recipe import RecipeError
from vita_model.training.tiny_recipe import TinyRecipe, TinyStage, read_tiny
from vita_model.training.tiny_run import Place, right_phrases, run_tiny
from vita_model.training.trainer import Report, TrainingError

pytestmark = pytest.mark.slow

STAGES = {
    "language": {"steps": 6, "rate": 2e-3, "options": {"first_layer": 24, "packs": 1}},
    "vision": {"steps": 40, "rate": 1e-3},
    "listener": {"steps": 30, "rate": 1.5e-3, "options": {"texts": 50, "frames_per_batch": 900}},
    "reader": {"steps": 8, "rate": 3e-4, "options": {"texts": 50, "frames_per_batch": 900}},
    "codec": {"steps": 80, "rate": 1.5e-3, "options": {"batch": 4}},
    "speaker": {"steps": 16, "rate": 1e-3, "options": {"rows_per_batch": 600}},
}


def write(folder: Path, learns: str) -> Path:
    stage = {"id": learns, "title": learns, "learns": learns, "warmup": 2, **STAGES[learns]}
    stages = [stage]
    if learns == "speaker":
        stages = [{"id": "codec", "title": "codec", "learns": "codec", **STAGES["codec"]}, stage]
    file = folder / f"{learns}.yaml"
    file.write_text(
        yaml.safe_dump({"name": "t", "kind": "vita-tiny", "data": "data", "stages": stages})
    )
    return file


def losses_of(
    file: Path, work: Path, learns: str, *, stop_at: int | None = None, resume: bool = False
) -> tuple[list[float], Path | None]:
    found: list[float] = []

    def note(stage: TinyStage, step: Report) -> None:
        if stage.id == learns:
            found.append(step.losses["loss"])
            if step.step == stop_at:
                signal.raise_signal(signal.SIGTERM)

    with torch.enable_grad():
        made = run_tiny(read_tiny(file), Place(work), resume=resume, report=note)
    return found, made


@pytest.mark.parametrize("learns", STAGES)
def test_a_stage_learns_and_goes_on_exactly_after_a_stop(learns: str, tmp_path: Path) -> None:
    corpora(tmp_path / "data")
    file = write(tmp_path, learns)
    whole, made = losses_of(file, tmp_path / "whole", learns)
    steps = len(whole)
    assert made is not None
    quarter = steps // 4
    assert sum(whole[-quarter:]) < 0.97 * sum(whole[:quarter])
    first, stopped = losses_of(file, tmp_path / "parts", learns, stop_at=steps // 2)
    assert stopped is None
    with pytest.raises(RecipeError, match="--resume"):
        losses_of(file, tmp_path / "parts", learns)
    second, again = losses_of(file, tmp_path / "parts", learns, resume=True)
    assert again is not None
    assert first + second == pytest.approx(whole, abs=1e-5)


def test_a_stage_without_its_data_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="vita data synth"):
        losses_of(write(tmp_path, "codec"), tmp_path / "work", "codec")


def test_a_business_teaches_it_what_its_callers_say(tmp_path: Path) -> None:
    own = Own.model_validate(
        {
            "business": "Marlow Cycles",
            "facts": ["A full service costs £65.", "We close at 6 pm."],
            "phrases": [
                {"say": "give it the full monty what's that", "answer": "Sixty five, all in."},
                {"say": "when do you knock off", "answer": "Tools down at six."},
            ],
            "share": 1.0,
        }
    )
    stage = {
        "id": "own", "title": "own", "learns": "language", "start": "shipped", "steps": 12,
        "rate": 1e-3, "warmup": 2, "options": {"first_layer": 24, "packs": 1},
    }  # fmt: skip
    recipe = TinyRecipe.model_validate({"name": "t", "kind": "vita-tiny", "stages": [stage]})
    with torch.enable_grad():
        made = run_tiny(recipe, Place(tmp_path, own=own))
    assert made is not None
    assert right_phrases(own, FOLDER) == (0, 2)
    assert right_phrases(own, made) == (2, 2)
