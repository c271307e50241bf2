"""What was heard of utterances that still go on: rows two passes agree on keep their identity."""

from __future__ import annotations

from collections.abc import Hashable

from torch import Tensor
from torch.nn import functional as F

ALIKE = 0.95
"""Cosine from which two rows of one token count as the same."""

Row = tuple[Hashable, Tensor]
"""Identity of a row and the row."""


class Overheard:
    """The last pass over the utterance of each session. Used on the loop only."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[list[int], list[Row]]] = {}

    def agreed(
        self, session_id: str, ids: list[int], rows: list[Row]
    ) -> tuple[list[int], list[Row]]:
        """Take a further pass; gives the beginning that it shares with the one before."""
        count = self.settle(session_id, ids, rows)
        self._last[session_id] = (list(ids), list(rows))
        return ids[:count], rows[:count]

    def settle(self, session_id: str, ids: list[int], rows: list[Row]) -> int:
        """Put the rows of the last pass in the place of those that are alike, up to the first change.

        They are in the cache already. Forgets the last pass; returns how many rows are alike.
        """
        old_ids, old_rows = self._last.pop(session_id, ([], []))
        count = 0
        for index, (mine, theirs) in enumerate(zip(ids, old_ids, strict=False)):
            if mine != theirs:
                break
            if float(F.cosine_similarity(rows[index][1], old_rows[index][1], dim=0)) < ALIKE:
                break
            rows[index] = old_rows[index]
            count += 1
        return count

    def forget(self, session_id: str) -> None:
        """Drop what is kept for a session."""
        self._last.pop(session_id, None)
