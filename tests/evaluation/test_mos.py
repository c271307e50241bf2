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


def test_noise_costs_marks_and_length_does_not():
    clean = syllables(3)
    noise = np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    better, worse = opinion(clean, 16_000), opinion(clean + 0.05 * noise, 16_000)
    assert better.background > worse.background + 0.5
    assert 1 <= worse.overall < better.overall <= 5
    longer = opinion(syllables(10.1), 16_000)  # two windows; the others are repeated into one
    assert longer.overall == pytest.approx(better.overall, abs=0.4)
