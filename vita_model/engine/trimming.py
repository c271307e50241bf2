"""What a conversation leaves out once it is too long for its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEPT_SHARE = 0.75
"""How full the room may be after a cut. What is kept has to be computed anew, so cuts are rare."""
FULL_SHARE = 15 / 16
"""A conversation is full from here on: the rest is for an answer and what the caller says next."""


@dataclass(frozen=True, slots=True)
class TurnSize:
    """Rows of one turn.

    Attributes:
        rows: With its pictures and sound.
        words: Once only words are left of it.
        opens: A prompt may begin with it: a turn of the caller.
        closes: An answer after which it is for the caller to speak.
    """

    rows: int
    words: int
    opens: bool
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Turns before `first` are left out; of those before `whole` only words are kept."""

    first: int = 0
    whole: int = 0


def cut(sizes: Sequence[TurnSize], room: int) -> Cut:
    """The cut of a conversation that grew turn by turn.

    Each time it was full before an answer that closed an exchange, the oldest pictures and sound went
    with that answer, and then, if that was not enough, the oldest turns, until a quarter of the room was
    free; the exchange itself was kept whole. So what the next prompt begins with is known with the
    answer, and stays the same if that is shortened. The same was done at any turn that did not fit all
    the same, which then was the only one to be kept whole.
    A longer conversation has the same cut until it is full again, so its prompt goes on from the cache.

    Args:
        sizes: All turns.
        room: Most rows they may take.
    """
    kept = _Kept(sizes)
    full, enough = int(room * FULL_SHARE), int(room * KEPT_SHARE)
    asked = 0
    for last, size in enumerate(sizes):
        asked = last if size.opens else asked
        if size.closes and kept.rows > full:
            kept.lighten(enough, asked)
            if kept.rows > full:
                kept.forget(enough, asked)
        kept.rows += size.rows
        if kept.rows > room:
            kept.lighten(enough, last)
            if kept.rows > room:
                kept.forget(enough, last)
            kept.forget_anything(room, last)
    return Cut(kept.first, kept.whole)


def never_full(rows: int, room: int) -> bool:
    """Whether nothing can have been cut of a conversation of so many rows: its turns need not be counted."""
    return rows <= int(room * FULL_SHARE)


class _Kept:
    """What is kept of a conversation so far."""

    def __init__(self, sizes: Sequence[TurnSize]) -> None:
        self._sizes = sizes
        self.first = self.whole = self.rows = 0

    def lighten(self, enough: int, last: int) -> None:
        """Leave out pictures and sound before `last`, the oldest first."""
        while self.rows > enough and self.whole < last:
            self.rows -= self._sizes[self.whole].rows - self._sizes[self.whole].words
            self.whole += 1

    def forget(self, enough: int, last: int) -> None:
        """Leave out turns before `last`, the oldest first, up to one that a prompt may begin with."""
        for place in range(self.first + 1, last + 1):
            if self.rows <= enough:
                return
            if self._sizes[place].opens:
                self._leave_out(place)

    def forget_anything(self, room: int, last: int) -> None:
        """One exchange takes it all: leave out its beginning."""
        while self.rows > room and self.first < last:
            self._leave_out(self.first + 1)

    def _leave_out(self, first: int) -> None:
        self.rows -= sum(size.words for size in self._sizes[self.first : first])
        self.first = first
