"""The duplex set as a suite of `vita eval`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.serving.scripted_model import ScriptedModel
from vita_model.evaluation.duplex_set import CASES, KINDS, Case
from vita_model.evaluation.figures import figures
from vita_model.evaluation.suite import Shelf
from vita_model.evaluation.suites import duplex
from vita_model.evaluation.suites.duplex import DuplexSuite

pytestmark = pytest.mark.integration


@dataclass
class Speaking(ScriptedModel):
    said: list[str] = field(default_factory=list)

    async def say(self, text, voice="default"):
        self.said.append(text)
        async for event in super().say(text, voice):
            yield event


def hiss(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (0.0005 * rng.standard_normal(int(16_000 * seconds))).astype(np.float32)


def test_items_are_all_cases_with_every_kind_first():
    items = DuplexSuite().items(None)
    assert len({item.key for item in items}) == sum(CASES.values())
    assert [item.kind for item in items[: len(KINDS)]] == list(KINDS)


async def test_a_sound_becomes_a_row_and_the_speech_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = {
        kind: [Case(kind, "", "none", 30, hiss(0.3), hiss(0.4), hiss(0.2))]
        for kind in ("cough", "query")
    }
    monkeypatch.setattr(duplex, "_made", lambda seed: made)
    suite, model = DuplexSuite(), Speaking(deque())
    items = [item for item in suite.items(6) if item.kind in made]
    shelf = Shelf(tmp_path, suite.name)
    rows = {item.kind: await suite.run(model, item, shelf) for item in items}
    assert len(model.said) == 1
    assert rows["cough"].counts == {"right": (1.0, 1.0)}  # nothing that would stop it
    assert rows["query"].counts == {"right": (0.0, 1.0)}  # a question nobody can hear
    assert (tmp_path / rows["query"].files["input"]).exists()
    met = {figure.group: figure.met for figure in figures(list(rows.values()), suite.measures)}
    assert met == {"query": False, "cough": True}
