"""What runs a language model: rows go in, tokens come out, each conversation keeps its cache.

Speech needs no hidden states: the speech decoder takes the rows that `embed` gives for the tokens
of the text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from vita_model.engine.voice import EngineStats, ToolSpec

Rows = Sequence[int] | Tensor
"""Token ids, or embedding rows `[n, width]`."""


class RowsError(ValueError):
    """Rows of a wrong shape or kind, or more than fit. The conversation is as it was."""


class EngineStoppedError(RuntimeError):
    """The engine has ended and answers nobody any more; the model server must be restarted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one answer may be.

    Attributes:
        limit: Most tokens, from 1.
        first: The first token is one of these state tokens; empty if there is none.
        mute: Of `first`: nothing follows them.
        tools: Tools that may be called.
        tool_choice: "auto", "none", "required" or the name of the tool to call.
        parallel_calls: Several calls may be made.
    """

    limit: int
    first: tuple[int, ...] = ()
    mute: frozenset[int] = frozenset()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """Tokens that came in one go.

    Attributes:
        tokens: At least one. The end of the turn is passed on as the last of an answer; an answer
            without it reached its limit, or is mute.
        shares: With the first token, how likely each of `Plan.first` was among them.
    """

    tokens: tuple[int, ...]
    shares: Mapping[int, float] = field(default_factory=dict)


class LanguageEngine(Protocol):
    """Answers many conversations at once. Nothing here blocks the loop.

    A conversation is a sequence of rows. What an answer writes is appended to it, so that the next
    turn goes on from there. One call at a time for each conversation, `abort` excepted.
    """

    @property
    def width(self) -> int:
        """Numbers in a row."""
        ...

    def embed(self, tokens: Sequence[int]) -> Tensor:
        """The table's rows of tokens, `[n, width]`."""
        ...

    async def open(self, conversation: str) -> None:
        """Begin an empty conversation, in place of an older one of this name."""
        ...

    async def append(self, conversation: str, rows: Rows) -> None:
        """Add rows at the end and compute what can be computed ahead.

        Raises:
            KeyError: It is not open.
            RowsError: Nothing was added.
        """
        ...

    def generate(self, conversation: str, plan: Plan) -> AsyncIterator[Step]:
        """Answer the conversation as it stands, by the likeliest tokens.

        Closing the iterator or cancelling its task ends the computation within a step; the rows
        of all steps passed on stay.

        Raises:
            KeyError: It is not open.
            RowsError: The conversation is empty, or leaves no room for the answer.
            ToolError: A tool cannot be offered.
            EngineStoppedError: The engine is gone.
        """
        ...

    async def truncate(self, conversation: str, length: int) -> None:
        """Forget all rows from `length` on."""
        ...

    async def abort(self, conversation: str) -> None:
        """End its answer, if one is being written: `generate` stops as if it were complete."""
        ...

    async def close(self, conversation: str) -> None:
        """Forget a conversation. One that is not open is ignored."""
        ...

    def length(self, conversation: str) -> int:
        """Rows of a conversation.

        Raises:
            KeyError: It is not open.
        """
        ...

    def stats(self) -> EngineStats:
        """What is held and done at the moment."""
        ...

    async def stop(self) -> None:
        """End all answers and give memory and processes back."""
        ...


class RowBuffer:
    """The rows of one conversation; grows by doubling.

    Args:
        table: Embedding table, `[vocabulary, width]`.
        limit: Most rows.
    """

    def __init__(self, table: Tensor, limit: int) -> None:
        self._table = table
        self._limit = limit
        self._rows = table.new_empty(64, table.shape[1])
        self.length = 0

    @property
    def rows(self) -> Tensor:
        """All rows, `[length, width]`; a view."""
        return self._rows[: self.length]

    @property
    def room(self) -> int:
        """Rows that still fit."""
        return self._limit - self.length

    def append(self, rows: Rows) -> None:
        """Add rows of tokens, or rows as they are.

        Raises:
            RowsError: Nothing was added.
        """
        new = self._checked(rows)
        length = self.length + len(new)
        if length > len(self._rows):
            larger = self._rows.new_empty(max(length, 2 * len(self._rows)), new.shape[1])
            larger[: self.length] = self.rows
            self._rows = larger
        self._rows[self.length : length] = new
        self.length = length

    def _checked(self, rows: Rows) -> Tensor:
        width = self._table.shape[1]
        if not isinstance(rows, Tensor):
            ids = torch.tensor(list(rows), dtype=torch.long, device=self._table.device)
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self._table):
                raise RowsError(f"Token ids go from 0 to {len(self._table) - 1}.")
            rows = self._table[ids]
        elif rows.ndim != 2 or rows.shape[1] != width or not rows.is_floating_point():
            raise RowsError(
                f"Rows have the shape [n, {width}] and are floating point, not "
                f"{list(rows.shape)} of {rows.dtype}."
            )
        if len(rows) > self.room:
            raise RowsError(f"A conversation has at most {self._limit} rows.")
        if not bool(rows.isfinite().all()):
            raise RowsError("A row holds a number that is not finite.")
        return rows.to(self._table)

    def truncate(self, length: int) -> None:
        """Forget all rows from `length` on."""
        self.length = max(0, min(self.length, length))


def check_room(buffer: RowBuffer, plan: Plan) -> None:
    """Refuse an answer to nothing, and one that may not fit.

    Raises:
        RowsError: It is one of these.
    """
    if not buffer.length:
        raise RowsError("An empty conversation has no answer; append rows first.")
    if plan.limit > buffer.room:
        raise RowsError(f"The conversation leaves room for {buffer.room} tokens of an answer.")
