"""How loud the agent is: it speaks lower while the server decides whether the caller wants a word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.audio import AudioFormat

LOW = 0.25
"""Share of the amplitude while lowered: 12 dB less."""
FALL_S = 0.06
RISE_S = 0.16
LONGEST_S = 3.0
"""A server decides within a second; one that forgets to must not leave the agent faint."""


class Volume:
    """The gain of one call's outgoing speech. Counts time in what is played."""

    def __init__(self, audio: AudioFormat) -> None:
        self._audio = audio
        self._gain = 1.0
        self._low = False
        self._left = 0

    def want(self, *, low: bool) -> None:
        """Speak lower until told otherwise, or as loud as ever again; both by and by."""
        self._low, self._left = low, int(LONGEST_S * self._audio.rate)

    def reset(self) -> None:
        """What comes next is as loud as ever from its first sample."""
        self._low, self._gain = False, 1.0

    def apply(self, payload: bytes) -> bytes:
        """The next piece as it is to be played; the very same bytes at full volume."""
        if self._gain == 1.0 and not self._low:
            return payload
        gains = self._ramp(self._audio.samples(payload))
        pcm = np.rint(self._audio.decode(payload) * gains).astype(np.int16)
        return self._audio.encode(pcm)

    def _ramp(self, count: int) -> NDArray[np.float64]:
        target = LOW if self._low else 1.0
        step = (1.0 - LOW) / ((FALL_S if self._low else RISE_S) * self._audio.rate)
        rising = np.arange(1, count + 1) * step
        if target < self._gain:
            gains = np.maximum(self._gain - rising, target)
        else:
            gains = np.minimum(self._gain + rising, target)
        self._gain = float(gains[-1]) if count else self._gain
        self._left -= count
        if self._left <= 0:
            self._low = False
        result: NDArray[np.float64] = gains
        return result
