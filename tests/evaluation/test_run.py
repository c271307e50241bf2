"""Runs go on where they stopped, and become a report."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.serving.scripted_model import ScriptedModel
from vita_model.evaluation import report
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.run import ask_all
from vita_model.evaluation.store import Run
from vita_model.evaluation.suite import EvaluationError, Shelf

pytestmark = pytest.mark.unit
ABOUT = {"model": "some-model", "weights": "0123456789abcdef0", "seed": 1}


@dataclass(frozen=True)
class Number:
    key: str


class EvenSuite:
    """Right for even items; breaks at one if told to."""

    name = "even"
    small = 2
    about = "Whether <numbers> are even."
    measures = (Measure("right", bars={"": 90}),)

    def __init__(self, breaks_at: str = "") -> None:
        self.asked: list[str] = []
        self._breaks_at = breaks_at

    def items(self, count):
        return [Number(f"n-{n}") for n in range(6)][:count]

    async def run(self, model, item, shelf):
        if item.key == self._breaks_at:
            raise EvaluationError("no more")
        self.asked.append(item.key)
        file = shelf.sound(item.key, "input", np.zeros(80, np.float32), 8_000)
        right = float(int(item.key[2:]) % 2 == 0)
        return Row(
            item.key,
            "all",
            {"right": (right, 1.0)},
            "even",
            got="<b>odd</b>",
            files={"input": file},
        )


def model() -> ScriptedModel:
    return ScriptedModel(deque())


async def test_a_stopped_run_asks_only_what_is_left(tmp_path):
    with pytest.raises(EvaluationError):
        await ask_all(model(), [EvenSuite("n-3")], Run(tmp_path, ABOUT), None)
    again = EvenSuite()
    run = Run(tmp_path, ABOUT)
    await ask_all(model(), [again], run, None)
    assert again.asked == ["n-3", "n-4", "n-5"]
    assert [row.key for row in run.rows("even")] == [f"n-{n}" for n in range(6)]


async def test_a_first_look_is_the_beginning_of_the_whole(tmp_path):
    run = Run(tmp_path, ABOUT)
    await ask_all(model(), [EvenSuite()], run, None, small=True)
    assert [row.key for row in run.rows("even")] == ["n-0", "n-1"]
    rest = EvenSuite()
    await ask_all(model(), [rest], run, None)
    assert rest.asked == ["n-2", "n-3", "n-4", "n-5"]


def test_a_clip_is_made_once_and_shared_by_runs(tmp_path):
    made = []

    def ramp() -> np.ndarray:
        made.append(1)
        return np.linspace(0, 0.5, 800, dtype=np.float32)

    first = Shelf(tmp_path / "a", "even", tmp_path / "clips").once("voice-1", 8_000, ramp)
    again = Shelf(tmp_path / "b", "odd", tmp_path / "clips").once("voice-1", 8_000, ramp)
    assert len(made) == 1
    assert np.array_equal(first, again)
    assert [file.name for file in (tmp_path / "clips").iterdir()] == ["voice-1.flac"]


async def test_a_row_cut_by_a_crash_is_asked_again(tmp_path):
    run = Run(tmp_path, ABOUT)
    await ask_all(model(), [EvenSuite()], run, 2)
    file = tmp_path / "rows" / "even.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    again = EvenSuite()
    await ask_all(model(), [again], run, 3)
    assert again.asked == ["n-1", "n-2"]
    assert len(run.rows("even")) == 3


def test_a_spoilt_row_is_named(tmp_path):
    run = Run(tmp_path, ABOUT)
    (tmp_path / "rows" / "even.jsonl").write_text("oops\n{}\n")
    with pytest.raises(EvaluationError, match=r"even\.jsonl, line 1"):
        run.rows("even")


def test_rows_of_other_weights_are_never_mixed(tmp_path):
    Run(tmp_path, ABOUT)
    with pytest.raises(EvaluationError, match="another model or seed"):
        Run(tmp_path, ABOUT | {"weights": "others"})


async def test_a_figure_of_ours_stands_in_the_table_of_others(tmp_path):
    suite = EvenSuite()
    suite.name = "librispeech-test-clean"
    run = Run(tmp_path, ABOUT)
    await ask_all(model(), [suite], run, 3)
    text = report.write(run, [suite]).text.read_text()
    assert "| some-model (ours, here) | – | – | – | – | – | 66.7 | – |" in text


async def test_the_report_tells_figures_misses_and_the_paper(tmp_path: Path):
    run = Run(tmp_path, ABOUT)
    suites = [EvenSuite()]
    await ask_all(model(), suites, run, None)
    written = report.write(run, suites)
    page, text = written.page.read_text(), written.text.read_text()
    assert "| right | all | 50.0 % |" in text
    assert "| even: right | all | ≥ 90 % | 50.0 % |" in text
    assert "](plots/even.svg)" in text
    assert "Every bar" in page
    assert "missed" in text
    assert "| VITA-1.5 | 2.2 | 8.4 | 10.0 |" in text
    assert "(ours, here)" not in text
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert "Whether &lt;numbers&gt;" in page
    for row in written.sections[0].rows:
        assert (tmp_path / row.files["input"]).exists()
        assert row.files["input"] in page
    assert (tmp_path / "plots" / "even.svg").read_text().startswith("<?xml")
    assert json.loads((tmp_path / "figures.json").read_text())[0]["met"] is False
