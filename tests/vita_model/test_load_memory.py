"""`vita bench load` tells how much memory loading takes, and it is little more than the weights."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from agent.cli.bench import app
from tests.vita_model.small import TINY, checkpoint
from vita_model.bench.load import BAR, write_random
from vita_model.config import LanguageConfig

pytestmark = pytest.mark.unit

MANY = LanguageConfig(
    vocab_size=600, hidden_size=256, intermediate_size=1024, layers=80, heads=2, kv_heads=1
)


def test_shards_loaded_in_another_type_take_little_more_than_their_weights(tmp_path):
    folder, out = tmp_path / "weights", tmp_path / "load.json"
    write_random(folder, 0.5, TINY.model_copy(update={"language": MANY}))
    shards = list(folder.glob("model-*-of-*.safetensors"))
    assert len(shards) >= 4
    done = CliRunner().invoke(
        app, ["load", "--checkpoint", str(folder), "--dtype", "float32", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    (load,) = json.loads(out.read_text())["loads"]
    stored = sum(shard.stat().st_size for shard in shards)
    assert load["weights"] > 1.9 * stored > 120e6
    assert 1 <= load["ratio"] <= BAR


def test_what_cannot_be_loaded_is_said(tmp_path):
    folder = checkpoint(tmp_path)
    for options, sentence in (
        (["--checkpoint", str(folder / "nowhere")], "is this a checkpoint folder?"),
        (["--checkpoint", str(folder), "--dtype", "float3"], "no type of weights"),
    ):
        done = CliRunner().invoke(app, ["load", *options])
        assert done.exit_code == 2
        assert sentence in done.output
