"""Words that a person has spoken: numbers, days and `no` from the telephone prompts of Asterisk.

Debian's package asterisk-core-sounds-en-wav holds them: one woman, Allison Smith, CC-BY-SA-3.0, 8 kHz. They
are for tests only; nothing is trained on them. There is no `yes` among them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from vita_model.engine.voice import Samples
from vita_model.evaluation.suite import EvaluationError
from vita_model.speech.numbers import ONES, TENS

FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
RATE = 16_000
Kind = Literal["digits", "numbers", "days", "no"]
STRINGS = 60
TIMES = 30
_ONES, _TEENS, _TENS = ONES[:10], [*ONES[10:], TENS[2]], TENS[3:]
_DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
_FILES = {
    **{word: f"digits/{number}" for number, word in enumerate([*_ONES, *_TEENS])},
    **{word: f"digits/{30 + 10 * number}" for number, word in enumerate(_TENS)},
    **{word: f"digits/day-{number}" for number, word in enumerate(_DAYS)},
    **{word: f"digits/{word}" for word in ("oh", "today", "tomorrow", "yesterday", "at")},
    "am": "digits/a-m",
    "pm": "digits/p-m",
    "no": "vm-no",
}


@dataclass(frozen=True, slots=True)
class Words:
    """Some words, each of a file of its own, to be heard one after the other."""

    key: str
    kind: Kind
    words: tuple[str, ...]

    @property
    def said(self) -> str:
        """The words as a text."""
        return " ".join(self.words)


def spoken_words(seed: int) -> list[Words]:
    """Every single word, strings of three to six digits, and days with a time; the kinds mixed."""
    rng = random.Random(f"people-{seed}")
    found: list[tuple[Kind, tuple[str, ...]]] = [
        *(("digits", (word,)) for word in _ONES),
        *(("numbers", (word,)) for word in (*_TEENS, *_TENS)),
        *(("days", (word,)) for word in (*_DAYS, "today", "tomorrow", "yesterday")),
        ("no", ("no",)),
    ]
    found += [
        ("digits", tuple(rng.choices([*_ONES, "oh"], k=rng.randint(3, 6)))) for _ in range(STRINGS)
    ]
    for _ in range(TIMES):
        hour = rng.choice([*_ONES[1:], "ten", "eleven", "twelve"])
        found.append(("days", (rng.choice(_DAYS), "at", hour, rng.choice(["am", "pm"]))))
    rng.shuffle(found)
    return [Words(f"{kind}-{n:03d}", kind, words) for n, (kind, words) in enumerate(found)]


def read(folder: Path, item: Words) -> Samples:
    """The words at 16 kHz with short pauses between them.

    Raises:
        EvaluationError: A recording is missing or cannot be read.
    """
    rng = random.Random(item.key)
    pieces: list[Samples] = []
    for word in item.words:
        pieces += [
            _word(folder / f"{_FILES[word]}.wav"),
            np.zeros(rng.randint(800, 2_400), np.float32),
        ]
    return np.concatenate(pieces[:-1])


def _word(file: Path) -> Samples:
    try:
        found, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise EvaluationError(
            f"{file} cannot be read ({error}); apt install asterisk-core-sounds-en-wav, "
            "or give the folder of its recordings with --corpus people=FOLDER."
        ) from error
    wide = soxr.resample(found.mean(1), rate, RATE).astype(np.float32)
    loud = np.flatnonzero(np.abs(wide) > 0.02 * np.abs(wide).max())
    margin = RATE // 50
    return wide[max(0, loud[0] - margin) : loud[-1] + margin] if len(loud) else wide
