"""Callers whom no training heard, on a telephone line, and what comes over it without a caller."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np

from vita_model.engine.voice import Samples
from vita_model.evaluation import duplex_sounds
from vita_model.evaluation.suite import EvaluationError, Shelf
from vita_model.training import voices
from vita_model.training.channel import (
    RATE,
    crowd,
    level,
    mix,
    music,
    not_speech,
    street,
    telephone,
)
from vita_model.training.corpora import held_out_readers

Line = Literal["clean", "babble"]
LINES: tuple[Line, ...] = ("clean", "babble")
BABBLE_DB = 15.0
"""The crowd's level below the caller's."""
SPEAKING_DB = -24.0
AWAY_DB = -32.0
"""Level of somebody who speaks to somebody else."""
VOICES = ("slt", "kokoro-f", "kokoro-m")


def read(key: str, said: str, voice: str, shelf: Shelf) -> Samples:
    """One held-out voice close to the phone, 16 kHz; everything drawn follows from the key.

    Raises:
        EvaluationError: The voice is not installed.
    """
    name = hashlib.sha256(f"{voice}-{key}-{said}".encode()).hexdigest()[:20]
    return shelf.once(f"{voice}-{name}", RATE, lambda: _read(key, said, voice))


def _read(key: str, said: str, voice: str) -> Samples:
    try:
        clip = held_out_readers()[voice](random.Random(f"{key}-{said}"), said)
    except (ImportError, FileNotFoundError) as error:
        raise EvaluationError(
            f"The voice {voice} is missing ({error}); "
            "pip install 'vita-agent[eval]' and install flite and espeak-ng."
        ) from error
    return level(voices.at_rate(clip, RATE), SPEAKING_DB)


def over(key: str, samples: Samples, line: Line) -> Samples:
    """A voice as it arrives: 8 kHz µ-law, 200 to 3,450 Hz, with a crowd behind it or not."""
    padded = np.pad(samples, RATE // 5)
    if line == "babble":
        rng = np.random.default_rng(_number(key))
        padded = mix(padded, crowd(rng, _crowd(), len(padded)), BABBLE_DB)
    return telephone(np.clip(padded, -1, 1).astype(np.float32))


def nobody(key: str, kind: Literal["noise", "music", "crowd"]) -> Samples:
    """A sound of half a second to four seconds without a caller, -50 to -20 dB.

    `noise` is hiss, hum, clicks, tones, coughs or traffic; `music` a few chords or a tune with a
    beat, which no training heard; `crowd` the babble of several voices.
    """
    rng = np.random.default_rng(_number(key))
    seconds, which = float(rng.uniform(0.6, 3.5)), int(rng.integers(0, 5))
    count = int(seconds * RATE)
    if kind == "crowd":
        found = crowd(rng, _crowd(), count)
    elif kind == "music":
        found = music(rng, count) if which < 2 else duplex_sounds.music(rng, seconds)
    elif which < 2:
        found = street(rng, count) if which else duplex_sounds.cough(rng)
    else:
        return not_speech(rng)
    return telephone(np.clip(level(found, float(rng.uniform(-50, -20))), -1, 1))


def aside(key: str, said: str, voice: str, shelf: Shelf) -> Samples:
    """Somebody who speaks to somebody else, a little away from the phone."""
    return over(key, level(read(key, said, voice, shelf), AWAY_DB), "clean")


def _number(key: str) -> list[int]:
    return list(key.encode())


@cache
def _crowd() -> Sequence[Samples]:
    """Voices in the background."""
    rng = random.Random("crowd")
    text = "we had such a lovely time last week and then they all came over for supper"
    return tuple(voices.at_rate(voices.espeak(rng, text), RATE) for _ in range(8))
