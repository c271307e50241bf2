"""What recipes of vita-tiny, a business's own phrases and manifests of data are checked for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.training.tiny_data import corpora
from vita_model.training.cli import app
from vita_model.training.corpora import Setting
from vita_model.training.dialogues import ToolCall
from vita_model.training.loop import Pace
from vita_model.training.manifest import ShardError, check, write_manifest
from vita_model.training.own import OwnError, read_own
from vita_model.training.recipe import RecipeError, find_recipe
from vita_model.training.tiny_recipe import read_tiny

pytestmark = pytest.mark.unit

OWN = """
business: Marlow Cycles
facts: [A puncture costs 12 pounds., We close at 6 pm.]
tools: {book: {about: books a visit, day: the day}}
phrases:
  - {say: "My tyre's flat, what's the damage?", answer: A puncture costs 12 pounds.}
  - {say: squeeze me in on friday, call: {book: {day: Friday}}}
"""


def test_shipped_recipes_can_be_read_and_start_from_what_is_before_them() -> None:
    recipe = read_tiny(find_recipe("vita-tiny"))
    assert {stage.learns for stage in recipe.stages} == {
        "language", "vision", "listener", "reader", "codec", "speller", "speaker",
    }  # fmt: skip
    assert read_tiny(find_recipe("vita-tiny-own")).stages[0].start == "shipped"


def test_a_dry_run_says_what_data_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["vita-tiny", "--dry-run", "--work", "nowhere"])
    assert shown.exit_code == 0
    assert "(speaker-train)" in shown.output
    assert "10,262,016" in shown.output
    assert "…" not in shown.output


def test_a_stage_that_starts_from_a_later_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    stage = "{id: a, title: A, learns: vision, steps: 1, rate: 0.1, start: b}"
    file.write_text(f"name: x\nkind: vita-tiny\nstages: [{stage}]")
    with pytest.raises(RecipeError, match="starts from b, which is not before it"):
        read_tiny(file)


def test_the_rate_rises_and_falls() -> None:
    pace = Pace(steps=100, rate=1.0, warmup=10, fall=0.5)
    assert [round(pace.rate_at(step), 2) for step in (0, 9, 40, 75, 99)] == [0.1, 1, 1, 0.5, 0.02]


def test_own_phrases_become_questions_with_answers_and_calls(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    own = read_own(file)
    asked = own.examined()
    assert [turn.said for turn in asked.turns] == [
        "my tyre's flat what's the damage",
        "squeeze me in on friday",
    ]
    assert asked.turns[1].reply == ToolCall("book", {"day": "Friday"})
    drawn = own.dialogue(random.Random(2))
    assert sorted(drawn.facts) == sorted(asked.facts)


@pytest.mark.parametrize(
    ("good", "wrong", "told"),
    [
        ("tools: {book", "tools: {visit", "phrase 2 calls book, which is not under tools"),
        ("book: {day: Friday}", "book: {hour: noon}", "phrase 2: book has no hour"),
        ("answer: A puncture", "answers: A puncture", "phrases > 1"),
    ],
)
def test_what_a_phrase_says_wrong_is_named(
    tmp_path: Path, good: str, wrong: str, told: str
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN.replace(good, wrong))
    with pytest.raises(OwnError, match=told):
        read_own(file)


def test_a_damaged_row_is_named_with_its_file(tmp_path: Path) -> None:
    folder = corpora(tmp_path)
    write_manifest(folder, Setting(), [("train", 1)])
    assert check(folder) == 36
    items = torch.load(folder / "train-0000.pt", weights_only=True)
    items["rows"][4][3, 7] = float("nan")
    torch.save(items, folder / "train-0000.pt")
    with pytest.raises(ShardError, match=r"train-0000\.pt, row 5: its matrix .* no number"):
        check(folder)


def test_a_shard_that_was_changed_is_noticed(tmp_path: Path) -> None:
    folder = corpora(tmp_path)
    write_manifest(folder, Setting(), [("train", 1)])
    items = torch.load(folder / "train-0000.pt", weights_only=True)
    items["said"][0] = "something else"
    torch.save(items, folder / "train-0000.pt")
    with pytest.raises(ShardError, match="not what the manifest says"):
        check(folder)
