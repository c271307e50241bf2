"""The caller's sound as the agent wants it: mono, its own rate, no holes in time."""

from __future__ import annotations

from av import AudioFrame, AudioResampler

from agent.api import MediaFrame
from agent.audio import AudioFormat

LONGEST_GAP_S = 1.0
_GAP_TOLERANCE_S = 0.04


class Microphone:
    """Turns what aiortc decodes into media frames. Lost sound becomes silence, a second at most.

    Args:
        audio: The leg's format, linear 16-bit.
    """

    def __init__(self, audio: AudioFormat) -> None:
        self._audio = audio
        self._resampler = AudioResampler(format="s16", layout="mono", rate=audio.rate)
        self._start_s: float | None = None
        self._position = 0

    def frames(self, frame: AudioFrame) -> list[MediaFrame]:
        """The media frames one decoded frame gives; none while the resampler fills up."""
        found = self._bridge(frame)
        for piece in self._resampler.resample(frame):
            payload = bytes(piece.planes[0])[: 2 * piece.samples]
            found.append(MediaFrame(payload, self._now_ms()))
            self._position += piece.samples
        return found

    def _bridge(self, frame: AudioFrame) -> list[MediaFrame]:
        if frame.pts is None or frame.time_base is None:
            return []
        at_s = float(frame.pts * frame.time_base)
        if self._start_s is None:
            self._start_s = at_s
        missing_s = at_s - self._start_s - self._position / self._audio.rate
        if missing_s <= _GAP_TOLERANCE_S:
            return []
        skipped = int(max(missing_s - LONGEST_GAP_S, 0) * self._audio.rate)
        self._position += skipped
        samples = int(min(missing_s, LONGEST_GAP_S) * self._audio.rate)
        silence = MediaFrame(self._audio.silence(samples), self._now_ms())
        self._position += samples
        return [silence]

    def _now_ms(self) -> int:
        return self._position * 1000 // self._audio.rate
