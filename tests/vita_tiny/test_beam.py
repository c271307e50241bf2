"""Posteriors are read with knowledge of which words follow one another."""

import pytest
import torch

from vita_model.audio.beam import Search, WordModel
from vita_model.audio.ctc_adapter import read
from vita_model.compact import pack, unpack

pytestmark = pytest.mark.unit
IN, AND, THE, ADDRESS = 1, 2, 3, 4
MODEL = WordModel.count([[AND, THE, ADDRESS]] * 9 + [[IN, THE]] * 3 + [[ADDRESS]] * 2, 4)


def logits(*frames: dict[int, float]) -> torch.Tensor:
    """Frames in which the named classes share what the blank leaves."""
    rows = torch.full((len(frames), 5), 1e-6)
    for row, frame in zip(rows, frames, strict=True):
        for unit, share in frame.items():
            row[unit] = share
        row[0] = 1 - sum(frame.values())
    return rows.log()


def test_the_word_model_decides_between_near_sounds() -> None:
    heard = logits({IN: 0.5, AND: 0.45}, {}, {THE: 0.95}, {}, {ADDRESS: 0.9})
    assert Search(MODEL).units(heard) == [AND, THE, ADDRESS]
    assert Search(MODEL, weight=0.0, bonus=0.0).units(heard) == [IN, THE, ADDRESS]


def test_a_clear_sound_is_kept_against_the_word_model() -> None:
    heard = logits({IN: 0.97}, {THE: 0.97}, {}, {ADDRESS: 0.97})
    assert Search(MODEL).units(heard) == [IN, THE, ADDRESS]


def test_a_unit_said_twice_needs_a_blank_between() -> None:
    once = logits({ADDRESS: 0.97}, {ADDRESS: 0.97})
    twice = logits({ADDRESS: 0.97}, {}, {ADDRESS: 0.97})
    assert Search(MODEL).units(once) == [ADDRESS]
    assert Search(MODEL).units(twice) == [ADDRESS, ADDRESS]


def test_where_no_unit_wins_nothing_is_heard() -> None:
    assert Search(MODEL, bonus=9.0).units(logits({AND: 0.4}, {THE: 0.3})) == []


def test_chances_of_what_may_follow_sum_to_one() -> None:
    for before in ((0, 0), (0, AND), (AND, THE), (THE, IN)):
        total = sum(torch.tensor(MODEL.score(before, unit)).exp() for unit in range(5))
        assert total == pytest.approx(1.0, abs=0.02)


def test_tokens_come_with_the_language_model_s_own_rows() -> None:
    table = torch.arange(8.0).view(4, 2)
    tokens = read(logits({AND: 0.9}, {}, {THE: 0.9}), torch.tensor([10, 20, 30, 40]), table, MODEL)
    assert tokens.ids == [20, 30]
    assert torch.equal(tokens.rows, table[[1, 2]])


def test_a_stored_word_model_scores_the_same() -> None:
    again = WordModel.of(MODEL.tensors())
    assert again.score((AND, THE), ADDRESS) == pytest.approx(
        MODEL.score((AND, THE), ADDRESS), abs=1e-3
    )


def test_packed_matrices_come_back_within_a_step_of_their_row() -> None:
    weight = torch.randn(64, 96) * torch.rand(64, 1)
    kept = {"weight": weight, "bias": torch.randn(64), "ids": torch.arange(5)}
    stored = pack(kept)
    assert stored["weight"].dtype == torch.int8
    back = unpack(stored)
    assert back.keys() == kept.keys()
    step = weight.abs().amax(1, keepdim=True) / 127
    assert bool(((back["weight"] - weight).abs() <= step * 0.51).all())
    assert torch.equal(back["bias"], kept["bias"])
    assert torch.equal(back["ids"], kept["ids"])
