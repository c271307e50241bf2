"""Speech comes out early, whole, and nearly as if all had been decoded at once."""

from __future__ import annotations

import pytest
import torch

from vita_model.config import CodecConfig
from vita_model.speech.codec import TiCodec
from vita_model.speech.low_latency import LatencyPlan, LowLatencyStream

pytestmark = pytest.mark.unit


def ramp(ids):
    return torch.tensor(ids, dtype=torch.float32).repeat_interleave(10)


def streamed(decode, ids, plan):
    stream = LowLatencyStream(decode, plan)
    pieces = [stream.push(code) for code in ids]
    return pieces, torch.cat([*(p for p in pieces if p is not None), stream.finish()])


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 40, 131])
@pytest.mark.parametrize("left", [0, 2, 10])
def test_no_sample_is_lost_doubled_or_moved(count, left):
    plan = LatencyPlan(left=left, hop=10, fade=20)
    _, whole = streamed(ramp, range(count), plan)
    assert torch.allclose(whole, ramp(list(range(count))))


def test_the_first_sound_waits_for_seven_ids_and_pieces_grow():
    plan = LatencyPlan(hop=10, fade=20)
    pieces, _ = streamed(ramp, range(120), plan)
    ready = {at: piece.shape[0] // 10 for at, piece in enumerate(pieces) if piece is not None}
    assert ready == {6: 4, 14: 8, 30: 16, 62: 32, 94: 32}


def test_a_stream_can_be_used_again():
    stream = LowLatencyStream(ramp, LatencyPlan(hop=10, fade=20))
    for _ in range(2):
        found = [piece for code in range(20) if (piece := stream.push(code)) is not None]
        assert torch.allclose(torch.cat([*found, stream.finish()]), ramp(list(range(20))))


def test_seams_have_no_step():
    """Each decoding is off by a constant of its own; the sum must not jump by it."""
    made = []

    def decode(ids):
        made.append(0.5 * (-1) ** len(made))
        return torch.full((10 * len(ids),), made[-1])

    _, whole = streamed(decode, range(60), LatencyPlan(hop=10, fade=30))
    assert len(made) > 3
    assert float(whole.diff().abs().max()) <= 1.0 / 30


@torch.no_grad()
def test_more_ids_ahead_bring_it_closer_to_the_whole():
    torch.manual_seed(3)
    config = CodecConfig(
        initial_channels=32, latent_size=16, codes=64, encoder=False, global_size=16, global_tokens=(1,) * 8
    )  # fmt: skip
    codec = TiCodec(config).eval()
    ids = torch.randint(0, 64, (60,)).tolist()

    def decode(row):
        return codec.decode(torch.tensor(row)[None, :, None])[0, 0]

    whole = decode(ids)
    size = float(whole.std())
    off = []
    for right in (1, 3, 10):
        _, found = streamed(decode, ids, LatencyPlan(right=right))
        assert found.shape == whole.shape
        off.append(float((found - whole).square().mean().sqrt()) / size)
    assert off[0] > off[1] > off[2]
    assert off[1] < 0.01


@pytest.mark.parametrize(
    "changes", [{"first": 0}, {"most": 2}, {"left": -1}, {"right": 0}, {"fade": 1_801}]
)
def test_plans_that_cannot_be_are_refused(changes):
    with pytest.raises(ValueError, match=r"plan needs|cross-fade"):
        LatencyPlan(**changes)
