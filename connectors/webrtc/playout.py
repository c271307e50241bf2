"""What a browser still has to be given to play, and which marks that passes. Pure."""

from __future__ import annotations

from collections import deque

LONGEST_S = 60


class Playout:
    """Audio in the order it came in, with marks between; silence when there is none.

    Args:
        rate: Samples a second, each of two bytes.
    """

    def __init__(self, rate: int) -> None:
        self._most = LONGEST_S * rate * 2
        self._audio = bytearray()
        self._added = 0
        self._taken = 0
        self._marks: deque[tuple[int, str]] = deque()

    def add(self, payload: bytes) -> None:
        """Queue audio. Beyond a minute of it nothing more is taken."""
        if len(self._audio) + len(payload) <= self._most:
            self._audio += payload
            self._added += len(payload)

    def mark(self, name: str) -> None:
        """Put a mark behind everything queued so far."""
        self._marks.append((self._added, name))

    def clear(self) -> list[str]:
        """Drop all audio; returns the marks that were still to come."""
        self._audio.clear()
        self._taken = self._added
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def take(self, size: int) -> tuple[bytes, list[str]]:
        """The next `size` bytes, silence where nothing is queued, and the marks they reach."""
        taken = bytes(self._audio[:size])
        del self._audio[: len(taken)]
        self._taken += len(taken)
        passed = []
        while self._marks and self._marks[0][0] <= self._taken:
            passed.append(self._marks.popleft()[1])
        return taken + bytes(size - len(taken)), passed
