"""What a conversation leaves out once it is too long for its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEPT_SHARE = 0.75
"""How full the room may be after a cut. What is kept has to be computed anew, so cuts are rare."""


@dataclass(frozen=True, slots=True)
class TurnSize:
    """Rows of one turn.

    Attributes:
        rows: With its pictures and sound.
        words: Once only words are left of it.
        opens: A prompt may begin with it: a turn of the caller.
    """

    rows: int
    words: int
    opens: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """Turns before `first` are left out; of those before `whole` only words are kept."""

    first: int = 0
    whole: int = 0


def cut(sizes: Sequence[TurnSize], room: int) -> Cut:
    """The cut of a conversation that grew turn by turn.

    Each time it did not fit, the oldest pictures and sound went, and then, if that was not enough, the
    oldest turns, until a quarter of the room was free. The last turn is kept whole.
    A longer conversation has the same cut until it is full again, so its prompt goes on from the cache.

    Args:
        sizes: All turns.
        room: Most rows they may take.
    """
    first = whole = taken = 0
    for last, size in enumerate(sizes):
        taken += size.rows
        if taken <= room:
            continue
        enough = int(room * KEPT_SHARE)
        while taken > enough and whole < last:
            taken -= sizes[whole].rows - sizes[whole].words
            whole += 1
        if taken <= room:
            continue
        while taken > enough and (following := _next_opening(sizes, first, last)) is not None:
            taken -= sum(size.words for size in sizes[first:following])
            first = following
        while taken > room and first < last:  # one exchange takes it all
            taken -= sizes[first].words
            first += 1
    return Cut(first, whole)


def _next_opening(sizes: Sequence[TurnSize], first: int, last: int) -> int | None:
    return next((place for place in range(first + 1, last + 1) if sizes[place].opens), None)
