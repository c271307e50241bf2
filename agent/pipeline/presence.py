"""Signs of the caller: sounds, words, keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CallerPresence:
    """What was heard of the caller so far. Whoever watches compares the counts.

    Attributes:
        speaking: The caller is speaking now.
        sounds: Beginnings and ends of sounds, noise included.
        words: Things said, typed or keyed.
    """

    speaking: bool = False
    sounds: int = 0
    words: int = 0

    def began(self) -> None:
        """A sound begins."""
        self.speaking = True
        self.sounds += 1

    def stopped(self) -> None:
        """No sound is heard any more."""
        self.speaking = False
        self.sounds += 1

    def said(self) -> None:
        """The caller said something, or pressed a key."""
        self.words += 1
