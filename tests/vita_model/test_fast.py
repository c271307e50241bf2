from __future__ import annotations

import copy

import pytest
import torch
from typer.testing import CliRunner

from agent.cli.bench import app
from tests.vita_model.small import TINY, checkpoint
from vita_model.assembly import load_model
from vita_model.bench.modules import as_markdown, measure
from vita_model.bench.parts import Work
from vita_model.bench.roofline import Limits
from vita_model.checkpoint import CheckpointError
from vita_model.config import SpeechDecoderConfig
from vita_model.packed import FORMS, can_pack, pack
from vita_model.speech.decoder import SpeechDecoder
from vita_model.speech.steps import pack_decoder

pytestmark = pytest.mark.unit

if not can_pack():
    pytest.skip("weights are arranged for x86 only", allow_module_level=True)

MOST = {"float32": 1e-5, "bfloat16": 0.04, "int8": 0.05}
"""Relative error; widths of 8 are rounded more coarsely than real ones."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("small"))


def error(found, exact):
    return float((found.float() - exact).norm() / exact.norm())


@pytest.mark.parametrize("form", FORMS)
def test_fast_parts_hear_see_and_speak_like_the_exact_ones(form, small):
    torch.manual_seed(3)
    features, pixels = torch.randn(1, 50, 80), torch.randn(1, 3, 16, 16)
    codes, lengths = torch.randint(8, (1, 6, 1)), torch.tensor([50])

    def outputs(model):
        return [
            model.language.embed_audio(features, lengths)[0],
            model.language.embed_images(pixels),
            model.codec.decode(codes),
        ]

    exact, fast = (outputs(load_model(small, fast=choice)) for choice in (None, form))
    for one, other in zip(exact, fast, strict=True):
        assert error(other, one) <= MOST[form]


@pytest.mark.parametrize("form", FORMS)
def test_a_fast_decoder_gives_the_same_logits_step_by_step(form):
    torch.manual_seed(4)
    sizes = SpeechDecoderConfig(
        hidden_size=32, heads=2, intermediate_size=48, layers=2, front_layers=1, codes=16
    )
    exact = SpeechDecoder(sizes).eval()
    fast = copy.deepcopy(exact)
    pack_decoder(fast, form)
    text = torch.randn(1, 5, 32)

    def logits(decoder):
        state, first = decoder.begin(text)
        return torch.cat([first, *(decoder.step([code], state) for code in (3, 1, 9, 4))])

    assert fast.steps is not None
    assert error(logits(fast), logits(exact)) <= MOST[form]


@pytest.mark.parametrize("form", FORMS)
def test_packed_weights_are_saved_under_their_names(form):
    exact = torch.nn.Sequential(torch.nn.Linear(24, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))
    fast = copy.deepcopy(exact)
    pack(fast, form)
    saved = fast.state_dict()
    for name, weight in exact.state_dict().items():
        assert error(saved[name].reshape(weight.shape), weight) <= MOST[form]


def test_fast_weights_are_for_the_cpu(small):
    with pytest.raises(CheckpointError, match="x86"):
        load_model(small, device="cuda", fast="bfloat16")


def test_every_mode_is_measured_beside_a_baseline_of_the_same_numbers():
    limits = Limits(torch.device("cpu"), FORMS, size=32, elements=1024)
    work = Work(text_rows=4, codes=3, frames=4, bank_frames=40)
    table = measure(config=TINY, work=work, repeats=1, limits=limits)
    exact = [row for row in table.rows if row.mode in {"reference-style", "ours, float32"}]
    assert len(exact) == 8
    assert all(row.error < 1e-4 for row in exact)
    assert as_markdown(table).count("reference-style") == 4


def test_a_part_that_does_not_exist_is_refused_by_name():
    found = CliRunner().invoke(app, ["model", "--parts", "ears"])
    assert found.exit_code == 2
    assert "speech" in found.stderr
