"""The classifier of sounds over the agent: what it looks at, how it learns, how it is kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from vita_model.audio.addressed import (
    ROWS,
    SOUNDS,
    Addressed,
    load_addressed,
    recent,
    save_addressed,
)
from vita_model.audio.whisper import WhisperConfig, WhisperEncoder
from vita_model.evaluation.duplex_set import HELD_BACK, Half, sentences
from vita_model.serving.words import BACKCHANNELS, words_of
from vita_model.training.addressed import Example, Maker, fit, voices
from vita_model.training.addressed_texts import Texts, sounds

pytestmark = pytest.mark.integration

WIDTH = 16
SMALL = WhisperConfig(mels=20, width=WIDTH, heads=2, hidden=32, layers=1)


def test_it_looks_at_the_last_rows_of_sound_and_not_at_the_silent_tail() -> None:
    rows = torch.arange(60.0)[:, None].repeat(1, 2)
    assert recent(rows, 20)[:, 0].tolist() == list(range(4, 40))
    short = recent(rows[:30], 20)
    assert short.shape == (ROWS, 2)
    assert short[:26].abs().sum() == 0
    assert short[26:, 0].tolist() == list(range(10))


def test_it_learns_to_tell_sounds_apart() -> None:
    torch.manual_seed(1)
    kinds = torch.randn(len(SOUNDS), WIDTH)
    examples = [
        Example((kinds[at] + 0.3 * torch.randn(ROWS, WIDTH)).half(), sound, "voice", 10)
        for _ in range(12)
        for at, sound in enumerate(SOUNDS)
    ]
    module = fit(examples, steps=40)
    with torch.inference_mode():
        taken = [module.query(torch.cat([e.rows, e.rows[:4]]).float(), 4) > 0.5 for e in examples]
    assert taken == [e.sound == "query" for e in examples]


def test_it_serves_no_other_encoder_than_its_own(tmp_path: Path) -> None:
    own, other = WhisperEncoder(SMALL), WhisperEncoder(SMALL)
    file = tmp_path / "addressed.safetensors"
    save_addressed(Addressed(WIDTH), own, file)
    assert load_addressed(file, own, WIDTH) is not None
    assert load_addressed(file, other, WIDTH) is None


def test_examples_are_cut_where_the_server_looks_and_share_no_voice_with_the_duplex_set() -> None:
    examples = list(Maker(WhisperEncoder(SMALL), seed=2).clips(4))
    assert examples
    assert {e.rows.shape for e in examples} == {(ROWS, WIDTH)}
    assert all(e.windows >= 8 for e in examples)
    assert HELD_BACK
    assert HELD_BACK.isdisjoint(voice.partition("+")[2] for voice in voices())


def test_sentences_differ() -> None:
    texts = Texts(random.Random(1))
    assert len({texts.query() for _ in range(20)}) > 15
    assert len({texts.backchannel() for _ in range(60)}) > 50


def test_a_query_does_not_begin_with_a_backchannel() -> None:
    texts = Texts(random.Random(2))
    assert BACKCHANNELS.isdisjoint(words_of(texts.query())[0] for _ in range(300))


@pytest.mark.parametrize("hidden", [("report",), ("report", "tuning")])
def test_what_is_said_in_hidden_halves_alone_is_never_read(hidden: tuple[Half, ...]) -> None:
    texts = Texts(random.Random(3), hidden)
    draws = (texts.query, texts.backchannel, texts.side_talk)
    read = {sounds(draw()) for draw in draws for _ in range(2_000)}
    tuning, report = ({sounds(s) for s in sentences(h)} for h in ("tuning", "report"))
    assert read.isdisjoint(report - tuning)
    assert read.isdisjoint(tuning) is ("tuning" in hidden)
