"""`vita bench engines` on a model of no size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import Qwen2Config

from vita_model.bench import engines
from vita_model.bench.engines_report import as_json, as_markdown, draw, from_json, joined

pytestmark = pytest.mark.model

SMALL = Qwen2Config(
    vocab_size=272,
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    tie_word_embeddings=True,
    dtype="bfloat16",
)
WORK = engines.Work(streams=(1, 3), prompt=5, answer=4, rounds=1)


def test_all_answer_all_prompts_at_full_length_and_are_reported(tmp_path: Path) -> None:
    model = engines.random_model(SMALL)
    found = list(engines.contenders(model, tmp_path, WORK, vllm=False))
    for one in found:
        assert one.answer([[7] * 5, [8] * 5], 4).tokens == 8
    table = engines.measure(found, model.num_parameters(), WORK, lambda _: None)
    for one in found:
        one.close()
    assert [(row.what, row.streams) for row in table.rows] == [
        (what, streams) for streams in (1, 3) for what in (engines.GENERATE, engines.TORCH)
    ]
    assert all(row.tokens_s > 0 for row in table.rows)
    assert from_json(as_json(table)) == table
    assert as_markdown(table).count("\n") == 5
    two = replace(table, rows=[replace(table.rows[0], streams=2)])
    assert [row.streams for row in joined(table, two).rows] == [1, 1, 2, 3, 3]
    draw(table, tmp_path / "engines.png")
    assert (tmp_path / "engines.png").read_bytes().startswith(b"\x89PNG")


def test_other_files_are_no_figures() -> None:
    with pytest.raises(ValueError, match="no figures"):
        from_json("{}")
