"""The paper's claim, tried with a world and steps small enough for a test."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vita_model.evaluation import report
from vita_model.evaluation.claim import world
from vita_model.evaluation.claim.arms import ARMS, SMALL, Step
from vita_model.evaluation.claim.measure import SEEN, WRITTEN, Size
from vita_model.evaluation.claim.run import Result, Setting, StoppedError, finished, run_arms
from vita_model.evaluation.claim.section import section
from vita_model.evaluation.claim.sounds import BINS, UNHEARD, Lexicon, lexicon
from vita_model.evaluation.claim.summary import BEFORE, CHANGE, lines
from vita_model.evaluation.cli import app
from vita_model.evaluation.suite import EvaluationError

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    def tones(voice: str, word: str) -> np.ndarray:
        rng = np.random.default_rng(list(f"{voice}{word}".encode()))
        time = np.arange(1_200) / 16_000
        return np.sin(2 * np.pi * rng.uniform(200, 3_000) * time).astype(np.float32)

    return lexicon(tmp_path_factory.mktemp("words") / "lexicon.npz", tones)


@pytest.fixture(autouse=True)
def _learning():
    with torch.enable_grad():
        yield


def shortened(arm: str) -> tuple[Step, ...]:
    return tuple(
        Step(s.name, 2, s.learns, {kind: min(2, count) for kind, count in s.reads.items()})
        for s in ARMS[arm]
    )


def setting(spoken: Lexicon, work: Path, **others) -> Setting:
    ground = Step("ground", 2, ("language",), {"talk": 4})
    return Setting(spoken, work, SMALL, ground, Size(6, 4, 1), **others)


def test_arms_are_trained_once_measured_and_reported(spoken: Lexicon, tmp_path: Path):
    arms = {name: shortened(name) for name in ("three stages", "speech without stages")}
    steps: list[tuple[str, str]] = []
    one = setting(spoken, tmp_path, report=lambda done: steps.append((done.arm, done.stage)))
    results = run_arms(one, [1], arms)
    assert [(r.arm, r.seed) for r in results] == [(a, 1) for a in arms]
    assert ("speech without stages", "1.3") not in steps  # it shares what three stages made
    assert {r.end[WRITTEN][1] > 0 for r in results} == {True}
    count = len(steps)
    assert run_arms(one, [1], arms) == results
    assert len(steps) == count
    page = report.write_claim(tmp_path, section(finished(tmp_path, arms), tmp_path))
    text = page.with_suffix(".md").read_text()
    assert f"| {SEEN} | speech without stages |" in text
    assert "plots/claim.svg" in page.read_text()
    assert (tmp_path / "plots" / "claim.svg").read_text().startswith("<?xml")


def test_a_stopped_arm_goes_on(spoken: Lexicon, tmp_path: Path):
    arms = {"joint": shortened("joint")}

    def stop(done):
        if done.stage == "joint" and done.step == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError):
        run_arms(setting(spoken, tmp_path, report=stop), [1], arms)
    with pytest.raises(EvaluationError, match="no arm that is done"):
        finished(tmp_path, arms)
    seen: list[int] = []
    go_on = setting(spoken, tmp_path, report=lambda done: seen.append(done.step))
    run_arms(go_on, [1], arms)
    assert seen == [2]


def test_arms_read_the_same_number_of_examples():
    totals = {
        name: {
            kind: sum(step.totals.get(kind, 0) for step in steps)
            for kind in ("pictures", "words heard", "spoken pictures", "words said")
        }
        for name, steps in ARMS.items()
    }
    assert totals["joint"] == totals["speech without stages"] == totals["three stages"]
    assert totals["speech alone, no stages"]["pictures"] < totals["joint"]["pictures"]


def result(arm: str, seed: int, before: float, after: float) -> Result:
    end = dict.fromkeys(
        ("talk, typed", "pictures, spoken", "talk, spoken", WRITTEN, "states right", "codes wrong"),
        (50.0, 100.0),
    )
    path = [] if arm == "joint" else [("1.3", {SEEN: (before, 100.0)})]
    return Result(arm, seed, path, {**end, SEEN: (after, 100.0)})


def test_arms_are_compared_seed_by_seed():
    results = [
        made
        for seed, ease in enumerate((0, 20, 40))
        for made in (
            result("three stages", seed, 50 + ease, 49 + ease),
            result("joint", seed, 0, 39 + ease - seed),
        )
    ]
    found = {(line.measure, line.arm): line for line in lines(results)}
    assert found[CHANGE, "three stages"].mean.interval == pytest.approx((-1, -1))
    joint = found[SEEN, "joint"]
    assert joint.difference is not None
    assert joint.difference.value == pytest.approx(-11)  # though the seeds differ by 40
    assert joint.better is False
    assert found[WRITTEN, "joint"].better is None
    assert (BEFORE, "joint") not in found


def test_pictures_and_sounds_show_what_is_asked(spoken: Lexicon):
    rng = random.Random(1)
    red = world.draw(rng, world.Scene(4, "red", "square"))
    blue = world.draw(rng, world.Scene(4, "blue", "square"))
    assert red.shape == (3, world.SIZE, world.SIZE)
    assert red.mean((1, 2))[0] > blue.mean((1, 2))[0]
    said = spoken.utterance(rng, "red circle", UNHEARD)
    assert said.shape[1] == BINS
    assert len(spoken.codes("red circle")) > len(spoken.codes("red"))


def test_a_folder_without_a_finished_arm_is_no_report(tmp_path: Path):
    done = CliRunner().invoke(app, ["claim", "--report-only", "--work", str(tmp_path)])
    assert done.exit_code == 2
    assert "no arm that is done" in done.output
