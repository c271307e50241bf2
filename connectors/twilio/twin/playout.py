"""The carrier's outbound buffer: what was sent plays in order, 20 ms at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agent import mulaw
from connectors.twilio.twin.audio import FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Played:
    """One frame that went to the caller's ear.

    Attributes:
        frame: 160 µ-law bytes, silence where the buffer had nothing.
        fed: Bytes of it that came from the buffer.
        marks: Marks that playback passed.
    """

    frame: bytes
    fed: int
    marks: tuple[str, ...] = ()


class Playout:
    """Pure buffer: `pull` is 20 ms of time passing."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._sent = 0
        self._played = 0

    @property
    def queued_ms(self) -> int:
        """How much audio waits."""
        return len(self._audio) * 1000 // mulaw.SAMPLE_RATE

    def push(self, payload: bytes) -> None:
        """Queue µ-law bytes."""
        self._audio += payload
        self._sent += len(payload)

    def mark(self, name: str) -> None:
        """Report `name` once everything queued so far has played."""
        self._marks.append((self._sent, name))

    def clear(self) -> tuple[str, ...]:
        """Drop what is queued and return the marks that were waiting."""
        self._audio.clear()
        self._sent = self._played
        names = tuple(name for _, name in self._marks)
        self._marks.clear()
        return names

    def pull(self) -> Played:
        """Play the next frame."""
        frame = bytes(self._audio[:FRAME_BYTES])
        del self._audio[:FRAME_BYTES]
        self._played += len(frame)
        reached = []
        while self._marks and self._marks[0][0] <= self._played:
            reached.append(self._marks.popleft()[1])
        return Played(frame.ljust(FRAME_BYTES, mulaw.SILENCE), len(frame), tuple(reached))
