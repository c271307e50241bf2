"""The sound a browser receives, paced by an absolute clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from fractions import Fraction

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame
from typing_extensions import override

from connectors.webrtc.playout import Playout

FRAMES_PER_S = 50
LATEST_S = 0.5
"""After a stall longer than this the clock starts anew instead of sending what was missed."""


class PlayoutTrack(MediaStreamTrack):
    """Gives 20 ms of the playout every 20 ms; silence keeps the browser's buffer steady.

    Args:
        playout: What to play.
        rate: Samples a second.
        passed: Told the name of each mark whose audio has left.
    """

    kind = "audio"

    def __init__(self, playout: Playout, rate: int, passed: Callable[[str], None]) -> None:
        super().__init__()
        self._playout = playout
        self._rate = rate
        self._passed = passed
        self._samples = rate // FRAMES_PER_S
        self._position = 0
        self._due: float | None = None

    @override
    async def recv(self) -> AudioFrame:
        """The next frame, when it is due.

        Raises:
            MediaStreamError: The track was stopped.
        """
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        if self._due is None or now - self._due > LATEST_S:
            self._due = now
        await asyncio.sleep(max(self._due - now, 0))
        self._due += 1 / FRAMES_PER_S
        payload, marks = self._playout.take(2 * self._samples)
        frame = AudioFrame(format="s16", layout="mono", samples=self._samples)
        frame.planes[0].update(payload)
        frame.sample_rate, frame.pts = self._rate, self._position
        frame.time_base = Fraction(1, self._rate)
        self._position += self._samples
        for name in marks:
            self._passed(name)
        return frame
