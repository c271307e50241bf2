"""How good a voice sounds, as DNSMOS guesses it: Microsoft's weights from the wheel of speechmos.

It was learnt on the marks of listeners to noisy and cleaned speech (ITU-T P.835), not on synthesis:
compare a voice with the one it learnt from, not with other people's figures.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from vita_model.engine.voice import Samples
from vita_model.evaluation.suite import EvaluationError
from vita_model.onnx_network import network

RATE = 16_000
WINDOW = round(9.01 * RATE)
"""Samples the model takes; shorter sound is repeated."""
_SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
_BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
_OVERALL = (-0.06766283, 1.11546468, 0.04602535)
"""The published fits from the model's outputs to marks."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """Marks from 1 to 5: of the voice, of what is behind it, of both."""

    signal: float
    background: float
    overall: float


@cache
def _session() -> Any:
    spec = importlib.util.find_spec("speechmos")
    if spec is None or spec.origin is None:
        raise EvaluationError("The guess of marks is missing: pip install 'vita-agent[eval]'.")
    return network(Path(spec.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx")


def opinion(samples: Samples, rate: int) -> Opinion:
    """The marks of a recording, the mean over windows of nine seconds, a second apart.

    Raises:
        EvaluationError: The weights are not installed.
    """
    if not len(samples):
        return Opinion(1.0, 1.0, 1.0)
    wide = np.clip(soxr.resample(samples, rate, RATE), -1, 1).astype(np.float32)
    if len(wide) < WINDOW:
        wide = np.resize(wide, WINDOW)
    starts = range(0, len(wide) - WINDOW + 1, RATE)
    found = [_session().run(None, {"input_1": wide[s : s + WINDOW][None]})[0][0] for s in starts]
    fits = zip((_SIGNAL, _BACKGROUND, _OVERALL), np.transpose(found), strict=True)
    marks = [float(np.mean(np.polyval(fit, raw))) for fit, raw in fits]
    return Opinion(*marks)
