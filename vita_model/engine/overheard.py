"""What was heard of utterances that still go on: rows two passes agree on keep their identity."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional as F

from vita_model.engine.voice import Heard

ALIKE = 0.95
"""Cosine from which two rows of one token count as the same."""

Row = tuple[Hashable, Tensor]
"""Identity of a row and the row."""


@dataclass(slots=True)
class _Pass:
    """The last pass over an utterance."""

    ids: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0


class Overheard:
    """The last pass over the utterance of each session. Used on the loop only."""

    def __init__(self) -> None:
        self._last: dict[str, _Pass] = {}

    def agreed(self, session_id: str, heard: Heard) -> tuple[list[int], list[Row]]:
        """Take a further pass; gives the beginning that it shares with the one before.

        A pass that is shorter than the one before is the first of another utterance.
        """
        last = self._last.get(session_id)
        if last is None or heard.seconds < last.seconds:
            self._last[session_id] = last = _Pass()
        ids, rows = heard.features
        count = _keep(last, ids, rows)
        last.ids, last.rows, last.seconds = list(ids), list(rows), heard.seconds
        return ids[:count], rows[:count]

    def settle(self, session_id: str, heard: Heard) -> None:
        """Put the rows of the last pass in the place of those that are alike, up to the first change.

        They may be in the cache already.
        """
        last = self._last.get(session_id)
        if last is not None:
            _keep(last, *heard.features)

    def forget(self, session_id: str) -> None:
        """Drop what is kept for a session."""
        self._last.pop(session_id, None)


def _keep(last: _Pass, ids: list[int], rows: list[Row]) -> int:
    """Give rows the identity they had in the last pass, up to the first change; returns how many."""
    for index, (mine, theirs) in enumerate(zip(ids, last.ids, strict=False)):
        old = last.rows[index]
        if mine != theirs or float(F.cosine_similarity(rows[index][1], old[1], dim=0)) < ALIKE:
            return index
        rows[index] = old
    return min(len(ids), len(last.ids))
