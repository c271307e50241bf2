from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vita_model.config import CodecConfig, SpeechDecoderConfig
from vita_model.published import speech_config
from vita_model.speech.codec import ResBlock, TiCodec
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling
from vita_model.speech.synthesis import (
    ChunkPlan,
    SpeechStream,
    quiet_cut,
    to_int16,
    without_leading_silence,
)

pytestmark = pytest.mark.unit


def test_only_codes_and_the_end_are_ever_drawn():
    torch.manual_seed(0)
    config = SpeechDecoderConfig(
        hidden_size=32, heads=4, intermediate_size=32, layers=1, front_layers=1, codes=8
    )
    model = SpeechDecoder(config).eval()
    with torch.no_grad():
        model.out_fnn.bias[[config.separator, config.start, config.pad]] = 50.0
        model.out_fnn.bias[config.end] = -50.0
    sampling = SpeechSampling(top_k=4, max_codes=30)
    codes = list(model.generate(torch.randn(1, 4, 32), sampling=sampling))
    assert len(codes) == 30
    assert max(codes) < config.codes


def test_a_prefix_needs_prefix_layers():
    config = SpeechDecoderConfig(
        hidden_size=32, heads=4, intermediate_size=32, layers=1, front_layers=1, codes=8
    )
    with pytest.raises(ValueError, match="no prefix layers"):
        SpeechDecoder(config).begin(torch.zeros(1, 4, 32), torch.zeros(1, 2, 32))


def test_each_code_is_six_hundred_samples():
    config = CodecConfig(
        initial_channels=16,
        latent_size=8,
        codes=8,
        global_size=8,
        global_tokens=(0,) * 8,
        encoder=False,
    )
    codec = TiCodec(config).eval()
    assert config.hop == 600
    for frames in range(1, 61):
        wave = codec.decode(torch.zeros(1, frames, 1, dtype=torch.int64))
        assert wave.shape == (1, 1, 600 * frames)


def _ramp(ids):
    return torch.tensor(ids, dtype=torch.float32).repeat_interleave(10)


@pytest.mark.parametrize("count", [1, 19, 20, 21, 60, 61])
@pytest.mark.parametrize("threshold", [0.0, math.inf])
def test_no_sample_is_lost_or_doubled(count, threshold):
    plan = ChunkPlan(chunk=10, margin=5, hop=10, window=20, threshold=threshold)
    stream = SpeechStream(_ramp, plan)
    pieces = [piece for piece in map(stream.push, range(count)) if piece is not None]
    assert bool(pieces) == (threshold > 0 and count >= 15)
    whole = torch.cat([*pieces, stream.finish()])
    assert torch.equal(whole, _ramp(list(range(count))))


def test_a_cut_falls_on_the_quietest_sample_of_the_second_half():
    piece = torch.full((1000,), 0.5)
    piece[100:200] = 0.0
    piece[700:750] = 0.01
    piece[730] = 0.0
    assert quiet_cut(piece, 50, 0.1) == 730
    assert quiet_cut(piece, 50, 0.001) is None
    assert quiet_cut(piece[:60], 50, 0.1) is None
    assert quiet_cut(piece[:50], 50, 1.0) is None


def test_windows_about_the_middle_count_and_the_search_runs_on_behind_them():
    piece = torch.full((1000,), 0.5)
    piece[460:560] = 0.01  # begins before the middle, as windows may from 450 on
    piece[500] = 0.005
    assert quiet_cut(piece, 100, 0.1) == 500
    piece[569] = 0.001  # ten beyond the first window, so ten behind it are searched
    assert quiet_cut(piece, 100, 0.1) == 569
    piece[569] = 0.5
    piece[570] = 0.001
    assert quiet_cut(piece, 100, 0.1) == 500


def test_a_decoder_of_one_layer_has_nothing_in_front():
    arguments = {
        "transformer_attention_dim": 8,
        "transformer_attention_heads": 2,
        "transformer_linear_units": 8,
        "transformer_num_blocks": 1,
    }
    model = SpeechDecoder(speech_config([8, 4, arguments]))
    hidden = torch.randn(1, 3, 8)
    assert torch.equal(model.condition(hidden), hidden)
    assert len(list(model.generate(hidden, sampling=SpeechSampling(max_codes=2)))) <= 2


@pytest.mark.parametrize(("kind", "convolutions"), [("1", 6), ("2", 2)])
def test_a_residual_block_uses_as_many_dilations_as_its_type(kind, convolutions):
    block = ResBlock(kind, 4, 3, (1, 3, 5, 7))
    assert (
        len([part for part in block.modules() if isinstance(part, torch.nn.Conv1d)]) == convolutions
    )


def test_leading_silence_is_dropped():
    samples = torch.tensor([0.0, 0.03, -0.2, 0.0, 0.5])
    assert without_leading_silence(samples).tolist() == samples[2:].tolist()
    assert without_leading_silence(samples[:2]).shape == (0,)


def test_loud_samples_are_clipped_not_wrapped():
    scaled = to_int16(torch.tensor([1.0, -1.0, 1.5, 0.5]))
    assert scaled.dtype == np.int16
    assert scaled.tolist() == [32767, -32768, 32767, 16384]
