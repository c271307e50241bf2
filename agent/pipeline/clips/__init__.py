"""Words that came with the agent, for moments when the model says nothing.

Spoken once by vita-tiny's own voice, kept as FLAC at 24 kHz. `README.md` tells how.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from agent.audio import TELEPHONE, WIDEBAND, AudioFormat

ITEM_PREFIX = "clip-"
"""How ids of clips begin in a conversation; the model server knows nothing of them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recorded sentence. `text` is what it says."""

    name: str
    text: str

    def payload(self, audio: AudioFormat) -> bytes:
        """The sentence in a leg's format."""
        return _payload(self.name, audio)


HOLD = Clip("hold", "One moment, please.")
APOLOGY = Clip("apology", "I am sorry, there is a technical problem.")
GOODBYE = Clip("goodbye", "I am afraid our time is up. Thank you for calling. Goodbye.")


def preload() -> None:
    """Decode all clips for all formats, so that no call waits for it."""
    for clip in (HOLD, APOLOGY, GOODBYE):
        for audio in (TELEPHONE, WIDEBAND):
            clip.payload(audio)


@cache
def _payload(name: str, audio: AudioFormat) -> bytes:
    samples, rate = soundfile.read(Path(__file__).with_name(f"{name}.flac"), dtype="float32")
    if rate != audio.rate:
        samples = soxr.resample(samples, rate, audio.rate)
    return audio.encode((np.clip(samples, -1, 1) * 32767).astype(np.int16))
