"""Marks of a recording."""

from __future__ import annotations

import numpy as np
import pytest

from vita_model.evaluation.mos import opinion

pytestmark = pytest.mark.unit


def syllables(seconds: float) -> np.ndarray:
    """A buzz with two resonances that comes and goes four times a second."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * n * time) / (1 + (n - 5) ** 2) for n in range(1, 25))
    return (0.1 * buzz * np.maximum(np.sin(2 * np.pi * 4 * time), 0)).astype(np.float32)


def test_noise_behind_a_sound_costs_marks():
    clean = syllables(2)
    noisy = clean + 0.05 * np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    better, worse = opinion(clean, 16_000), opinion(noisy, 16_000)
    assert better.background > worse.background + 0.5
    assert 1 <= worse.overall < better.overall <= 5


def test_longer_and_shorter_sound_than_the_window_is_marked_alike():
    short, long = opinion(syllables(3), 16_000), opinion(syllables(11), 16_000)
    assert short.overall == pytest.approx(long.overall, abs=0.4)
