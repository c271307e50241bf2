"""The example scripts do what they say, on a model that knows one answer by heart."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.vita_model.small import checkpoint, say_by_heart, tokenizer
from tests.vita_model.test_media import film
from vita_model.packed import can_pack

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[2] / "examples" / "model"
CALL = '{"name": "opening_hours", "arguments": {"day": "Sunday"}}'
ANSWER = re.escape(f"Hey.<tool_call>{CALL}</tool_call>")
FORMS = ["as stored", "bfloat16", *["fast bfloat16"] * can_pack()]
ROUND = re.escape("VITA: Hey.\nopening_hours({'day': 'Sunday'}) -> closed")

RUNS = {
    "answer_aloud": (["q.wav", "a.wav"], rf"{ANSWER}\n\d\.\d s of speech in a\.wav"),
    "fast": (["Are you open?"], "\n".join(f"{form}: {ANSWER}" for form in FORMS)),
    "film": (["visit.mp4", "Who came?"], f"5 frames\nquery: {ANSWER}"),
    "listen": (["q.wav"], rf"query \d+%, typed \d+%, noise \d+%\n{ANSWER}"),
    "picture": (["sign.jpg", "What is it?"], f"query: {ANSWER}"),
    "speak": (["We open at 9:30.", "a.wav"], r"\d\.\d\d s(\n\d\.\d\d s)*"),
    "tools": (["Are you open on Sunday?"], "\n".join([ROUND] * 3)),
    "transcript": (["q.wav"], f"second pass: {ANSWER}"),
    "voice": (["q.wav", "Hello.", "a.wav"], r"voice \[\d(, \d){7}\]"),
}
"""Of each script: its arguments after the checkpoint, and what it prints."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the weights in `VITA-1.5` and something to hear and to see."""
    place = tmp_path_factory.mktemp("examples")
    (place / "VITA-1.5").mkdir()
    checkpoint(place / "VITA-1.5", teach=lambda model: say_by_heart(model, call=CALL))
    tokenizer(CALL).save(str(place / "VITA-1.5" / "tokenizer.json"))
    Image.new("RGB", (32, 16), "red").save(place / "sign.jpg")
    (place / "visit.mp4").write_bytes(film(50))
    soundfile.write(place / "q.wav", np.sin(np.arange(16_000) / 9) * 0.3, 16_000)
    return place


@pytest.mark.parametrize("script", sorted(file.stem for file in EXAMPLES.glob("*.py")))
def test_an_example_does_what_it_says(place, script, monkeypatch, capsys):
    arguments, printed = RUNS[script]
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "VITA-1.5", *arguments])
    runpy.run_path(str(EXAMPLES / f"{script}.py"), run_name="__main__")
    found = capsys.readouterr().out
    assert re.fullmatch(printed + "\n", found), found
    if "a.wav" in arguments:
        assert soundfile.info("a.wav").duration > 0.02
        Path("a.wav").unlink()
