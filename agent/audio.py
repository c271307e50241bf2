"""How a media leg codes sound. The whole pipeline of a call works in its leg's format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agent import mulaw


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One channel of coded sound.

    Attributes:
        name: The format's name in the Realtime protocol.
        rate: Samples a second.
        width: Bytes a sample takes.
    """

    name: Literal["audio/pcmu", "audio/pcm"]
    rate: int
    width: int

    def samples(self, payload: bytes) -> int:
        """Whole samples that these bytes hold."""
        return len(payload) // self.width

    def ms(self, payload: bytes) -> int:
        """Whole milliseconds that these bytes last."""
        return self.samples(payload) * 1000 // self.rate

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """N coded samples as n linear 16-bit samples."""
        if self.name == "audio/pcmu":
            return mulaw.decode(payload)
        return np.frombuffer(payload, dtype="<i2", count=self.samples(payload))

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """N linear 16-bit samples as n coded samples."""
        if self.name == "audio/pcmu":
            return mulaw.encode(pcm)
        return pcm.astype("<i2", copy=False).tobytes()

    def silence(self, samples: int) -> bytes:
        """So many samples of silence."""
        return mulaw.silence(samples) if self.name == "audio/pcmu" else bytes(2 * samples)


TELEPHONE = AudioFormat("audio/pcmu", mulaw.SAMPLE_RATE, 1)
"""G.711 µ-law: what a telephone network carries, so nothing is resampled."""

WIDEBAND = AudioFormat("audio/pcm", 24_000, 2)
"""Linear 16-bit samples, little-endian, 24 kHz: what a browser is given."""
