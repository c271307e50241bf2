"""Time within one call, and the caller's latest audio on it."""

from __future__ import annotations

from collections import deque

from agent.audio import TELEPHONE, AudioFormat
from agent.clock import Clock

_TAPE_MS = 20_000


class CallTime:
    """Milliseconds and samples since the call's media leg was taken over."""

    def __init__(self, clock: Clock, audio: AudioFormat = TELEPHONE) -> None:
        self._clock = clock
        self._rate = audio.rate
        self._start = clock.monotonic()
        self._skew_ms: int | None = None

    def now(self) -> float:
        """The clock's monotonic seconds."""
        return self._clock.monotonic()

    def ms(self, at: float | None = None) -> int:
        """Milliseconds into the call at a monotonic time; now when none is given."""
        return round(((self.now() if at is None else at) - self._start) * 1000)

    def sample(self, at: float) -> int:
        """Samples into the call at a monotonic time."""
        return round((at - self._start) * self._rate)

    def caller_ms(self, timestamp_ms: int, length_ms: int) -> int:
        """Where caller audio lies in the call.

        The leg's own timestamps are free of network jitter; its first frame sets their origin.
        """
        if self._skew_ms is None:
            self._skew_ms = max(self.ms() - length_ms, 0) - timestamp_ms
        return max(timestamp_ms + self._skew_ms, 0)


class CallerTape:
    """The last 20 seconds of the caller's audio, kept for a model server that goes away."""

    def __init__(self, audio: AudioFormat = TELEPHONE) -> None:
        self._audio = audio
        self._pieces: deque[tuple[int, bytes]] = deque()

    def add(self, at_ms: int, payload: bytes) -> None:
        """Keep audio that begins `at_ms` into the call."""
        self._pieces.append((at_ms, payload))
        while self._pieces[0][0] < at_ms - _TAPE_MS:
            self._pieces.popleft()

    def since(self, start_ms: int) -> tuple[int, bytes]:
        """Where the first kept piece from `start_ms` on begins, and all audio from there."""
        pieces = [piece for piece in self._pieces if piece[0] >= start_ms]
        return (pieces[0][0] if pieces else start_ms), b"".join(payload for _, payload in pieces)

    @property
    def end_ms(self) -> int:
        """Where the newest piece ends."""
        if not self._pieces:
            return 0
        at_ms, payload = self._pieces[-1]
        return at_ms + self._audio.ms(payload)
