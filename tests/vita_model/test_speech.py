from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vita_model.config import CodecConfig, SpeechDecoderConfig
from vita_model.speech.codec import TiCodec
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
        initial_channels=32,
        latent_size=16,
        codes=8,
        global_size=16,
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


def test_leading_silence_is_dropped():
    samples = torch.tensor([0.0, 0.03, -0.2, 0.0, 0.5])
    assert without_leading_silence(samples).tolist() == samples[2:].tolist()
    assert without_leading_silence(samples[:2]).shape == (0,)


def test_loud_samples_are_clipped_not_wrapped():
    scaled = to_int16(torch.tensor([1.0, -1.0, 1.5, 0.5]))
    assert scaled.dtype == np.int16
    assert scaled.tolist() == [32767, -32768, 32767, 16384]
