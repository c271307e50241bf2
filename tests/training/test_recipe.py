"""What a recipe says, what it takes, and what is said about one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vita_model.training.cli import app
from vita_model.training.order import Order, share
from vita_model.training.plan import plan
from vita_model.training.recipe import (
    Optimiser,
    RecipeError,
    find_recipe,
    read_recipe,
)
from vita_model.training.trainer import rate_at

pytestmark = pytest.mark.unit

GOOD = """
name: good
model: nowhere
stages:
  - id: "1"
    title: First
    task: speech
    learns: [speech]
    data: [{name: made, path: data.jsonl}]
    optimiser: {rate: 0.001}
    steps: 3
"""


def test_the_papers_recipe_trains_the_papers_modules() -> None:
    plans = {one.stage.id: one for one in plan(read_recipe(find_recipe("vita-1.5")))}
    assert plans["1.1"].learning == {"projector": 27_532_288}
    assert plans["1.2"].learning == {
        "vision": 304_012_288,
        "projector": 27_532_288,
        "language": 7_615_616_512,
    }
    assert plans["2.1a"].learning["audio_encoder"] == 357_950_464
    assert plans["2.1b"].learning == {"audio_adapter": 17_835_520, "audio_prompt": 25 * 3584}
    assert plans["3.2"].learning == {"speech": 99_569_028}
    assert [one.stage.id for one in plans.values()] == [
        "1.1", "1.2", "1.3", "2.1a", "2.1b", "2.2", "3.1", "3.2",
    ]  # fmt: skip
    assert plans["1.1"].steps == round((1_446_100 + 2_377_400 + 775_100) * 0.2 / 512)


def test_a_dry_run_prints_the_plan_and_the_disagreements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["vita-1.5", "--dry-run"])
    assert shown.exit_code == 0
    assert "7,615,616,512" in shown.output
    assert "…" not in shown.output
    assert "The paper trains the vision tower here" in shown.output


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("steps: 3", "steps: 3\n    epochs: 1"), "stage 1: .*either epochs or steps"),
        (("learns: [speech]", "learns: [nose]"), "stages > stage 1 > learns > 0"),
        (("rate: 0.001", "rate: 0.001, rates: {vision: 1}"), "do not learn.*vision"),
        (("task: speech", "task: sing"), "stages > stage 1 > task"),
        (("name: made", "name: made, size: 3"), "data > 0 > size"),
        (("name: good", "name: [good"), "cannot be read"),
    ],
)
def test_a_recipe_that_cannot_be_is_explained(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(GOOD.replace(*change))
    with pytest.raises(RecipeError, match=complaint):
        read_recipe(file)


def test_a_model_without_every_part_is_planned_with_too(tmp_path: Path, model_folder: Path) -> None:
    file = tmp_path / "recipe.yaml"
    stage = GOOD.replace("task: speech", "task: conversation").replace("[speech]", "[projector]")
    file.write_text(stage.replace("nowhere", str(model_folder)))
    (one,) = plan(read_recipe(file))
    assert set(one.learning) == {"projector"}
    file.write_text(file.read_text().replace("[projector]", "[audio_prompt]"))
    assert set(plan(read_recipe(file))[0].learning) == {"audio_prompt"}


def test_options_that_a_task_does_not_have_are_named(
    tmp_path: Path, model_folder: Path, datasets: dict[str, Path]
) -> None:
    file = tmp_path / "recipe.yaml"
    stage = GOOD.replace("task: speech", "task: codec").replace("[speech]", "[codec]")
    stage = stage.replace("nowhere", str(model_folder)).replace(
        "data.jsonl", str(datasets["codec"])
    )
    stage = stage.replace("name: good", "name: good\nprecision: float32")
    file.write_text(stage + "    options: {minutes: 3}\n")
    found = CliRunner().invoke(app, [str(file), "--work", str(tmp_path / "work")])
    assert found.exit_code == 2
    assert "Stage 1: options > minutes" in found.output


def test_a_recipe_that_is_not_there_is_named_with_those_that_are() -> None:
    found = CliRunner().invoke(app, ["vita-9"])
    assert found.exit_code == 2
    assert "vita-1.5.yaml" in found.output


def test_a_stage_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(GOOD)
    found = CliRunner().invoke(app, [str(file), "--stage", "7"])
    assert found.exit_code == 2
    assert "its stages are 1" in found.output


def test_every_pass_reads_every_example_once_in_its_own_order() -> None:
    order = Order(10, seed=4)
    passes = [[order.at(place) for place in range(start, start + 10)] for start in (0, 10)]
    assert [sorted(one) for one in passes] == [list(range(10))] * 2
    assert passes[0] != passes[1]
    assert order.step(3, 4) == [order.at(place) for place in range(12, 16)]
    assert sorted(share(range(6), 0, 2) + share(range(6), 1, 2)) == list(range(6))


def test_the_rate_rises_then_falls() -> None:
    settings = Optimiser(rate=1.0, warmup=0.1, schedule="cosine")
    rates = [rate_at(step, 100, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01
