"""What the clients say and show, in the forms they send."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import soxr

from tests.vita_tiny.material import FACTS, question, recording
from vita_model.engine.voice import Samples
from vita_model.training.pictures import Shown, plain


def lay_out(folder: Path) -> None:
    """Write instructions, questions (16-bit mono PCM at 24 kHz) and a picture into a folder."""
    (folder / "instructions.txt").write_text(FACTS.format(opens="9 am"))
    (folder / "open_monday.pcm").write_bytes(_pcm(recording("1-open-monday")))
    with wave.open(str(folder / "open_monday.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", "NONE"))
        file.writeframes((folder / "open_monday.pcm").read_bytes())
    (folder / "what_colour.pcm").write_bytes(_pcm(question("what_colour")))
    out = io.BytesIO()
    plain(Shown("red", "circle")).save(out, "JPEG", quality=80)
    (folder / "circle.jpg").write_bytes(out.getvalue())


def _pcm(samples: Samples) -> bytes:
    resampled = soxr.resample(samples, 16_000, 24_000)
    data: bytes = (resampled * 32_767).astype("<i2").tobytes()
    return data
