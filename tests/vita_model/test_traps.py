"""Traps of the published code that no other test holds, and the table of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vita_model.small import TINY, checkpoint, tokenizer
from vita_model.assembly import load_model
from vita_model.audio.features import frame_count
from vita_model.processor import Message, VitaProcessor

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "decisions" / "0031-traps-of-the-published-code.md"


def test_every_trap_is_held_by_a_test_that_exists():
    rows = re.findall(r"^\| (\d+) \|.*\| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 33))
    for number, held in rows:
        if held.startswith("note: "):
            continue
        path, name = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", held).groups()
        assert re.search(rf"def {name}\(", (ROOT / path).read_text(encoding="utf-8")), number


def test_lengths_are_exact_for_long_sound():
    samples = 160 * 3_002 + 400
    inputs = VitaProcessor(tokenizer(), TINY)(
        Message(audio=(np.zeros(samples, np.int16), 16_000)), reserve=0
    )
    assert inputs["audio_lengths"].dtype == torch.int64
    assert inputs["audio_lengths"].tolist() == [frame_count(samples)] == [3_003]


@pytest.mark.parametrize(("options", "alone"), [({}, True), ({"repetition_penalty": 1.05}, False)])
def test_repetition_is_not_penalised(options, alone, tmp_path):
    model = load_model(checkpoint(tmp_path)).language
    with torch.no_grad():
        # Two tokens win whatever comes before; two more are just behind them.
        model.lm_head.weight.zero_()
        for token, weight in {55: 1.0, 56: 0.99, 57: -1.0, 58: -0.99}.items():
            model.lm_head.weight[token] = weight
    ids = model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=6, **options)
    assert {55, 57}.issuperset(ids[0].tolist()) is alone
