"""An encoder that hears in chunks: what it sees, and that it learns to hear as it does with all in view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vita_model.audio.whisper import RATE, WhisperConfig, WhisperEncoder
from vita_model.training.chunk_mode import CHUNKS, Point, distil, draw
from vita_model.training.loop import Pace, Run
from vita_model.training.trainer import Report

pytestmark = pytest.mark.integration

SMALL = WhisperConfig(mels=20, width=16, heads=2, hidden=32, layers=2)


def _clip(seed: int, seconds: float = 1.5) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(int(seconds * RATE)) * 0.1).astype(np.float32)


@torch.inference_mode()
def test_a_chunk_knows_nothing_of_those_after_it() -> None:
    torch.manual_seed(0)
    encoder = WhisperEncoder(SMALL)
    samples = torch.from_numpy(_clip(1))
    other = samples.clone()
    other[RATE:] *= 0.5  # softer: the features' own level, set by the loudest frame, stays
    first = 48  # 0.96 s: three chunks, and the filters' reach before what was changed
    for chunk in (16, 48):
        torch.testing.assert_close(encoder(samples, chunk)[:first], encoder(other, chunk)[:first])
    assert not torch.allclose(encoder(samples)[:first], encoder(other)[:first], atol=1e-4)


@torch.inference_mode()
def test_a_chunk_longer_than_the_utterance_is_the_whole_of_it() -> None:
    encoder, samples = WhisperEncoder(SMALL), torch.from_numpy(_clip(2))
    torch.testing.assert_close(encoder(samples, 1_000), encoder(samples))


def test_it_learns_to_hear_in_chunks_and_the_teacher_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = WhisperEncoder(SMALL).eval()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    clips = [_clip(seed, 1.0) for seed in range(4)]

    @torch.inference_mode()
    def off(encoder: WhisperEncoder) -> float:
        gaps = [
            (encoder(torch.from_numpy(clip), chunk) - teacher(torch.from_numpy(clip))).square()
            for clip in clips
            for chunk in CHUNKS[:2]
        ]
        return float(torch.cat(gaps).mean())

    steps: list[Report] = []
    run = Run(tmp_path / "student.pt", 1, Pace(40, 3e-3, warmup=5), steps.append)
    student = distil(teacher, clips, run)
    assert len(steps) == 40
    assert off(student) < 0.7 * off(teacher)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    points = [Point(None, 10, (0, 0, 0)), Point(16, 14, (4, 2, 6)), Point(32, 12, (2, 1, 3))]
    draw(tmp_path / "curve.png", {"as it ships": points})
    assert (tmp_path / "curve.png").stat().st_size > 5_000
