"""The caller's words: by a head on the encoder, while they speak, or by a second pass."""

from __future__ import annotations

import pytest
import torch

from tests.vita_model.small import TINY, checkpoint
from vita_model.assembly import VitaForConditionalGeneration
from vita_model.audio.ctc_head import (
    HEAD_CONFIG,
    Collapse,
    CtcHead,
    CtcHeadConfig,
    TranscriptStream,
    save_head,
    written,
)
from vita_model.audio.features import filter_bank
from vita_model.checkpoint import CheckpointError
from vita_model.processor import VitaProcessor

pytestmark = pytest.mark.unit

SECONDS_3 = torch.randn(48_000, generator=torch.Generator().manual_seed(5)) * 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def with_head(tmp_path_factory):
    folder = checkpoint(tmp_path_factory.mktemp("with-head"))
    torch.manual_seed(3)
    head = CtcHead(CtcHeadConfig(input_size=TINY.audio.hidden_size, chunk_size=4, left_chunks=2))
    torch.nn.init.normal_(head.out.weight, std=2.0)
    save_head(head, folder)
    return folder


def lively(encoder):
    """Random weights give every frame nearly the same row unless its features are spread."""
    encoder.global_cmvn.mean.fill_(float(filter_bank(SECONDS_3).mean()))
    encoder.enc[1].embed[0].weight.mul_(30)


@pytest.mark.parametrize("step", [160, 1_000, 48_000])
def test_words_while_speaking_are_those_of_the_whole(with_head, step):
    model = VitaForConditionalGeneration.from_pretrained(with_head)
    encoder, head = model.model.audio_encoder.encoder, model.whole.transcript
    lively(encoder)
    stream = TranscriptStream(encoder, head)
    so_far = [stream.push(SECONDS_3[at : at + step]) for at in range(0, 48_000, step)]
    whole = stream.finish()
    assert len(whole) > 10
    assert whole == written(encoder, head, SECONDS_3)
    assert all(whole.startswith(text) for text in so_far)
    assert len(set(so_far)) > (1 if step < 48_000 else 0)


def test_repeated_classes_count_once_and_blanks_part_them():
    collapse = Collapse("ab")
    assert collapse.push([1, 1, 0, 1]) == "aa"
    assert collapse.push([1, 2, 0, 0]) == "b"
    assert collapse.text == "aab"


def test_a_head_is_saved_with_the_model_and_used_first(with_head, tmp_path):
    model = VitaForConditionalGeneration.from_pretrained(with_head)
    model.save_pretrained(tmp_path)
    processor = VitaProcessor.from_pretrained(with_head)
    again = VitaForConditionalGeneration.from_pretrained(tmp_path)
    recording = (SECONDS_3.numpy(), 16_000)
    found = again.transcribe(recording, processor)
    assert found.way == "head"
    assert found == model.transcribe(recording, processor)
    assert again.transcribe(recording, processor, way="second pass").way == "second pass"


def test_without_a_head_the_language_model_is_asked(folder):
    model = VitaForConditionalGeneration.from_pretrained(folder)
    processor = VitaProcessor.from_pretrained(folder)
    recording = (SECONDS_3.numpy()[:8_000], 16_000)
    found = model.transcribe(recording, processor)
    assert found.way == "second pass"
    assert found == model.transcribe(recording, processor), "it is the same every time"
    with pytest.raises(CheckpointError, match="no transcript head"):
        model.transcribe(recording, processor, way="head")


@pytest.mark.parametrize("content", ["{", '{"input_size": 9}', '{"chunk_size": 3}'])
def test_a_head_that_does_not_fit_is_told(folder, tmp_path, content):
    target = checkpoint(tmp_path)
    (target / HEAD_CONFIG).write_text(content)
    with pytest.raises(CheckpointError, match=r"transcript\.json"):
        VitaForConditionalGeneration.from_pretrained(target)
