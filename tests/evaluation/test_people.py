"""Recordings of a person as a suite, with recordings of the same names."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.serving.scripted_model import ScriptedModel
from vita_model.engine.voice import Heard
from vita_model.evaluation.people import Words, read, spoken_words
from vita_model.evaluation.suite import EvaluationError, Shelf
from vita_model.evaluation.suites.people import PeopleSuite

pytestmark = pytest.mark.unit


class Writes(ScriptedModel):
    """Hears the same words always."""

    async def hear(self, samples):
        return Heard("Four oh two", None, len(samples) / self.input_rate)


def recordings(folder: Path, *names: str) -> None:
    """A tone of 0.2 s between silences of 0.3 s, at 8 kHz, for each name."""
    (folder / "digits").mkdir()
    tone = np.sin(np.arange(1_600) * 0.3).astype(np.float32) * 0.5
    for name in names:
        soundfile.write(folder / f"digits/{name}.wav", np.pad(tone, 2_400), 8_000)


def test_every_digit_day_and_number_is_among_the_items():
    items = spoken_words(1)
    assert items == spoken_words(1)
    alone = {item.said for item in items if len(item.words) == 1}
    assert {"zero", "nine", "nineteen", "ninety", "sunday", "saturday", "today", "no"} <= alone
    assert len({item.key for item in items}) == len(items) > 120
    assert {len(item.words) for item in items if item.kind == "digits"} == {1, 3, 4, 5, 6}


def test_words_follow_each_other_without_the_silence_around_them(tmp_path):
    recordings(tmp_path, "4", "oh")
    samples = read(tmp_path, Words("digits-001", "digits", ("four", "oh")))
    assert 0.4 < len(samples) / 16_000 < 0.65


def test_a_missing_recording_says_what_to_install(tmp_path):
    with pytest.raises(EvaluationError, match="apt install asterisk-core-sounds-en-wav"):
        read(tmp_path, Words("no-001", "no", ("no",)))


async def test_an_item_is_right_if_every_word_is(tmp_path):
    recordings(tmp_path, "4", "oh", "2", "5")
    suite = PeopleSuite(tmp_path)
    first = suite.items(1)[0]
    for words, right in ((("four", "oh", "two"), 1.0), (("four", "oh", "five"), 0.0)):
        item = type(first)("clean-x", Words("digits-001", "digits", words), "clean")
        row = await suite.run(Writes(deque()), item, Shelf(tmp_path, suite.name))
        assert row.counts["items right"] == row.counts["digits right"] == (right, 1.0)
        assert (tmp_path / row.files["input"]).exists()
