"""Makes the caller recordings of the demo: voices no training clip uses, and one real person.

`questions` makes those about a picture, which only tests ask.

The person's digits come from Asterisk's English core sounds (Digium, CC-BY-SA 3.0), spoken by one
woman in a studio; the file made from them carries that licence.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import soundfile

from vita_model.training import voices
from vita_model.training.channel import RATE, level, trimmed
from vita_model.training.corpora import held_out_readers

LINES = (
    ("1-open-monday", "slt", "what time do you open on monday"),
    ("2-saturday", "kokoro-f", "are you open on saturday"),
    ("3-price", "kokoro-m", "how much is a cleaning"),
    ("4-address", "slt", "where are you located"),
    ("5-order", "kokoro-f", "where is my order"),
    ("6-parking", "kokoro-m", "is there parking"),
    ("7-person", "slt", "can i speak to a real person please"),
)
QUESTIONS = (
    ("what_colour", "kokoro-m", "what colour is this"),
    ("what_number", "kokoro-f", "what number is this"),
    ("what_do_you_see", "kokoro-m", "what do you see"),
)
HUMAN_DIGITS = ("5b-order-number", "48213")
ASTERISK = Path("/usr/share/asterisk/sounds/en/digits")


def make(folder: Path) -> None:
    """Write all recordings, 16 kHz mono."""
    folder.mkdir(parents=True, exist_ok=True)
    readers = held_out_readers()
    for name, voice, words in LINES:
        clip = readers[voice](random.Random(name), words)
        _write(folder / f"{name}.wav", voices.at_rate(clip, RATE))
    pieces: list[voices.Samples] = []
    for digit in HUMAN_DIGITS[1]:
        samples, rate = soundfile.read(ASTERISK / f"{digit}.wav", dtype="float32")
        pieces.append(trimmed(voices.at_rate(voices.Clip(samples, rate, "human"), RATE)))
        pieces.append(np.zeros(RATE // 8, np.float32))
    _write(folder / f"{HUMAN_DIGITS[0]}.wav", np.concatenate(pieces))


def questions(folder: Path) -> None:
    """Write the questions about a picture, 16 kHz mono."""
    readers = held_out_readers()
    for name, voice, words in QUESTIONS:
        clip = readers[voice](random.Random(words), words)
        _write(folder / f"{name}.flac", voices.at_rate(clip, RATE))


def _write(path: Path, samples: voices.Samples) -> None:
    edge = np.zeros(RATE // 12, np.float32)
    samples = np.concatenate([edge, level(trimmed(samples), -22), edge])
    soundfile.write(path, samples, RATE, "PCM_16")
