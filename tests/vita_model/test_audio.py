from __future__ import annotations

import math

import pytest
import torch

from vita_model.audio import features
from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.encoder import WhaleEncoder, sinusoids
from vita_model.audio.streaming import WhaleStream
from vita_model.config import AdapterConfig, AudioEncoderConfig

pytestmark = pytest.mark.unit

SMALL = AudioEncoderConfig(
    hidden_size=32, layers=2, heads=4, intermediate_size=64, chunk_size=4, left_chunks=2
)


def test_chunks_given_with_the_call_replace_the_configured_ones():
    torch.manual_seed(1)
    frames, lengths = torch.randn(1, 90, 80), torch.tensor([90])
    encoder = WhaleEncoder(SMALL).eval()
    other = WhaleEncoder(SMALL.model_copy(update={"chunk_size": 3, "left_chunks": 1})).eval()
    other.load_state_dict(encoder.state_dict())
    called = encoder(frames, lengths, (3, 1)).hidden
    assert torch.equal(called, other(frames, lengths).hidden)
    assert not torch.allclose(called, encoder(frames, lengths).hidden, atol=1e-3)


def test_padding_changes_nothing():
    torch.manual_seed(2)
    encoder = WhaleEncoder(SMALL.model_copy(update={"chunk_size": -1})).eval()
    short = torch.randn(1, 60, 80)
    alone = encoder(short, torch.tensor([60])).hidden
    padded = torch.cat([short, torch.randn(1, 40, 80)], dim=1)
    together = encoder(padded, torch.tensor([60]))
    kept = int(together.mask.sum())
    assert kept == features.encoder_frames(60) == alone.shape[1]
    assert torch.allclose(together.hidden[:, :kept], alone, atol=1e-5)


def test_the_shortest_utterance_is_named():
    with pytest.raises(ValueError, match="85 ms"):
        WhaleEncoder(SMALL)(torch.zeros(1, 6, 80), torch.tensor([6]))


def test_an_encoder_trains_in_a_process_that_listened_first():
    width = 36  # of no other test, so that its tables are first made here
    sizes = {"hidden_size": width, "heads": 4, "layers": 1}
    encoder = WhaleEncoder(SMALL.model_copy(update=sizes))
    with torch.inference_mode():
        encoder(features.filter_bank(torch.randn(16_000))[None], torch.tensor([98]))
    with torch.enable_grad():
        encoder(torch.randn(1, 98, 80), torch.tensor([98])).hidden.square().sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())


@pytest.mark.parametrize(
    ("seconds", "frames", "positions"),
    [
        (0.5, 48, 6),
        (1, 98, 12),
        (2, 198, 24),
        (3, 298, 37),
        (5, 498, 62),
        (10, 998, 124),
        (20, 1998, 249),
        (30, 2998, 374),
        (60, 5998, 749),
    ],
)
def test_lengths(seconds, frames, positions):
    assert features.frame_count(int(seconds * 16000)) == frames
    assert features.language_positions(frames) == positions


def test_the_formula_of_lengths_holds_for_every_number_of_frames():
    for frames in range(7, 3_000):
        formula = math.ceil(math.ceil((math.ceil((frames - 2) / 2) - 2) / 2) / 2)
        assert features.language_positions(frames) == formula, frames


def test_audio_shorter_than_a_frame_gives_no_frame():
    assert features.filter_bank(torch.zeros(399)).shape == (0, 80)


def test_sinusoids_do_not_depend_on_where_they_start():
    assert torch.equal(sinusoids(500, 20, 32), sinusoids(0, 600, 32)[500:520])


@pytest.mark.parametrize(
    "changes", [{}, {"positions": "absolute", "norm_first": False, "concat_after": True}]
)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("frames", [7, 19, 20, 75, 131])
def test_streaming_equals_one_shot_under_the_same_mask(frames, deep, changes):
    torch.manual_seed(3)
    encoder = WhaleEncoder(SMALL.model_copy(update=changes)).eval()
    config = AdapterConfig(input_size=32, padding="left", deep=deep)
    adapter = SubsamplingAdapter(config, 24).eval()
    bank = torch.randn(frames, 80)
    whole = adapter(*encoder(bank[None], torch.tensor([frames]))).hidden[0]
    stream = WhaleStream(encoder, adapter)
    rows = [stream.push(piece) for piece in bank.split(5)]
    assert torch.allclose(torch.cat([*rows, stream.finish()]), whole, atol=1e-5)


@pytest.mark.parametrize("kind", ["conv1d", "conv1d-linear"])
def test_convolutions_in_the_feed_forward_part_keep_the_length(kind):
    config = SMALL.model_copy(
        update={"feed_forward": kind, "feed_forward_kernel": 3, "input_layer": "none"}
    )
    encoder = WhaleEncoder(config).eval()
    assert encoder(torch.randn(1, 60, 80), torch.tensor([60])).hidden.shape == (1, 14, 32)
    with pytest.raises(ValueError, match="feed-forward"):
        WhaleStream(encoder, SubsamplingAdapter(AdapterConfig(input_size=32, padding="left"), 24))


def test_streaming_refuses_an_adapter_that_looks_ahead():
    with pytest.raises(ValueError, match="left padding"):
        WhaleStream(WhaleEncoder(SMALL), SubsamplingAdapter(AdapterConfig(input_size=32), 24))
