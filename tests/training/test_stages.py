"""Every kind of stage learns, and is the same after a stop and on two devices."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from vita_model.assembly import load_model
from vita_model.training.recipe import Recipe, RecipeError, Stage, read_recipe
from vita_model.training.run import run_recipe
from vita_model.training.trainer import Report

pytestmark = pytest.mark.integration

LEARNS = {
    "conversation": ["projector", "audio_adapter", "language", "state_head"],
    "transcription": ["audio_encoder", "transcriber"],
    "codec": ["codec"],
    "speech": ["speech"],
}
STEPS = 6


def write_recipe(folder: Path, model: Path, datasets: dict[str, Path], task: str) -> Path:
    recipe = {
        "name": "small",
        "model": str(model),
        "precision": "float32",
        "seed": 3,
        "max_length": 800,
        "gradient_checkpointing": task == "conversation",
        "stages": [
            {
                "id": task,
                "title": task,
                "task": task,
                "learns": LEARNS[task],
                "data": [{"name": "made", "path": str(datasets[task])}],
                "optimiser": {"rate": 0.01, "schedule": "linear", "warmup": 0.1},
                "batch": {"per_device": 2, "accumulation": 2, "devices": 1},
                "steps": STEPS,
                "packing": "apart" if task == "conversation" else "none",
                "options": {"seconds": 0.12} if task == "codec" else {},
            }
        ],
    }
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


def losses_of(recipe: Recipe, work: Path, *, stop_at: int | None = None, resume: bool = False):
    found: list[float] = []

    def note(_: Stage, step: Report) -> None:
        found.append(step.losses["loss"])
        if step.step == stop_at:
            signal.raise_signal(signal.SIGTERM)

    made = run_recipe(recipe, work, resume=resume, report=note)
    return found, made


@pytest.mark.parametrize("task", LEARNS)
def test_a_stage_learns_and_goes_on_exactly_after_a_stop(
    task: str, tmp_path: Path, model_folder: Path, datasets: dict[str, Path]
) -> None:
    recipe = read_recipe(write_recipe(tmp_path, model_folder, datasets, task))
    whole, made = losses_of(recipe, tmp_path / "whole")
    first, stopped = losses_of(recipe, tmp_path / "parts", stop_at=3)
    second, finished = losses_of(recipe, tmp_path / "parts", resume=True)
    assert len(whole) == STEPS
    assert sum(whole[-2:]) < 0.97 * sum(whole[:2])
    assert stopped[0].checkpoint is None
    assert len(first) == 3
    assert first + second == pytest.approx(whole, abs=1e-5)
    trained, again = (load_model(one[0].checkpoint) for one in (made, finished))
    for name, tensor in trained.language.state_dict().items():
        assert torch.allclose(tensor, again.language.state_dict()[name], atol=1e-5), name


def test_only_the_parts_that_learn_change(
    tmp_path: Path, model_folder: Path, datasets: dict[str, Path]
) -> None:
    recipe = read_recipe(write_recipe(tmp_path, model_folder, datasets, "speech"))
    _, made = losses_of(recipe, tmp_path / "work")
    before, after = load_model(model_folder), load_model(made[0].checkpoint)
    for part in ("language", "codec"):
        old, new = getattr(before, part).state_dict(), getattr(after, part).state_dict()
        assert all(torch.equal(tensor, new[name]) for name, tensor in old.items())
    old, new = before.speech.state_dict(), after.speech.state_dict()
    assert any(not torch.equal(tensor, new[name]) for name, tensor in old.items())


def test_two_processes_learn_what_one_does(
    tmp_path: Path,
    model_folder: Path,
    datasets: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write_recipe(tmp_path, model_folder, datasets, "conversation")
    alone, _ = losses_of(read_recipe(file), tmp_path / "one")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    log = tmp_path / "losses.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--standalone", "--local-addr=127.0.0.1"]
    command += [str(Path(__file__).with_name("two.py")), str(file), str(tmp_path / "two"), str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(log.read_text()) == pytest.approx(alone, abs=1e-5)


def test_a_begun_stage_is_not_overwritten(
    tmp_path: Path, model_folder: Path, datasets: dict[str, Path]
) -> None:
    recipe = read_recipe(write_recipe(tmp_path, model_folder, datasets, "speech"))
    losses_of(recipe, tmp_path / "work", stop_at=1)
    with pytest.raises(RecipeError, match="--resume"):
        losses_of(recipe, tmp_path / "work")
