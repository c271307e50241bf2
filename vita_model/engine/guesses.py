"""Guesses how an answer goes on, so that one step may decide several of its tokens."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

MOST = 4
"""Tokens of one guess; each costs a row, and a row about a seventh of a step."""


class Guesses:
    """Looks up where the last two tokens stood before: answers repeat facts of their prompt.

    A guess decides nothing. What follows it is computed with it, and kept as far as it was right.

    Args:
        names: Rows of the prompt.
    """

    def __init__(self, names: Sequence[Hashable]) -> None:
        self._names = list(names)
        self._after: dict[tuple[Hashable, Hashable], int] = {}
        self._known = 1
        self._length = MOST

    def wrote(self, tokens: Sequence[Hashable]) -> None:
        """The answer goes on with these."""
        self._names += tokens

    def next(self, most: int) -> list[int]:
        """What may follow, at most so many tokens; nothing is guessed where nothing is known."""
        names, last = self._names, len(self._names) - 1
        for index in range(self._known, last):
            self._after[names[index - 1], names[index]] = index + 1
        self._known = max(last, 1)
        place = self._after.get((names[last - 1], names[last])) if last > 0 else None
        if place is None:
            return []
        found: list[int] = []
        for name in names[place : place + min(most, self._length)]:
            if not isinstance(name, int):
                break
            found.append(name)
        return found

    def judged(self, guessed: int, right: int) -> None:
        """So many tokens of a guess were right. Bad luck makes the next one shorter."""
        if guessed:
            self._length = min(MOST, 2 * self._length) if right == guessed else max(1, right)
