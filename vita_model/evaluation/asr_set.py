"""A fixed set of spoken test sentences, read by voices that no training clip uses.

Nothing is downloaded: flite, espeak-ng and Kokoro (the extra `train`) read the sentences anew,
with everything that is drawn taken from fixed seeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import numpy as np

from vita_model.audio.features import SAMPLE_RATE
from vita_model.evaluation.asr import Reading
from vita_model.training import voices
from vita_model.training.channel import random_line
from vita_model.training.dialogues import sample_spoken

OWN = (
    "hello i would like to book a table for four on friday evening",
    "could you tell me whether you are open on bank holidays",
    "my name is margaret and i am calling about my invoice",
    "the parcel was supposed to arrive yesterday but nothing came",
    "i need to speak to somebody in the accounts department",
    "please send the receipt to my new address",
    "is there a car park near your office",
    "my reference number is seven three nine oh two",
    "how much would it cost to repair a broken window",
    "sorry i did not catch that could you say it again",
    "i want to cancel my appointment on tuesday at half past ten",
    "do you have any vegetarian dishes on the menu",
    "the heating has stopped working and the house is cold",
    "what time does the last train to london leave",
    "i have been waiting for more than twenty minutes",
    "thank you very much that is all i wanted to know",
)
"""Sentences of no training grammar."""

SAMPLED = 48
"""Sentences of the grammar's test half."""

READERS: dict[str, voices.Reader] = {
    "slt": partial(voices.flite, voice=voices.HELD_OUT_FLITE),
    "kokoro-f": partial(voices.kokoro, voices=voices.HELD_OUT_KOKORO[:1]),
    "kokoro-m": partial(voices.kokoro, voices=voices.HELD_OUT_KOKORO[1:]),
}


def sentences() -> list[str]:
    """All sentences, always the same."""
    rng = random.Random("asr-set")
    return [*OWN, *(sample_spoken(rng, "test") for _ in range(SAMPLED))]


def readings(voice: str, *, line: bool = False) -> Iterator[Reading]:
    """The sentences read by one voice.

    Args:
        voice: A key of `READERS`.
        line: Over a telephone line with noise.
    """
    for number, said in enumerate(sentences()):
        rng = random.Random(f"asr-{voice}-{number}")
        samples = voices.at_rate(READERS[voice](rng, said), SAMPLE_RATE)
        if line:
            samples = random_line(np.random.default_rng(number), samples)
        yield Reading(np.ascontiguousarray(samples, np.float32), said, voice)
