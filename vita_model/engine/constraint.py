"""What a grammar must offer so that the engine keeps a reply within it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from vita_model.engine.voice import ToolSpec


class Constraint(Protocol):
    """Follows the tokens of one reply, from the first after the state token.

    The engine asks in this order, once for each step: `forced`; if that is empty, `mask` on the
    scores it is about to choose from. Then `accept` for every token it has written, forced or
    chosen. Methods run in the engine's thread and must be quick: they stand between two steps of
    all running replies.
    """

    def forced(self) -> Sequence[int]:
        """Tokens that must come next, none while there is a choice. Written in one pass."""
        ...

    def mask(self, scores: Tensor) -> None:
        """Put `-inf` in place on what must not come next; `scores` is `[vocabulary]`, float32."""
        ...

    def accept(self, token: int) -> None:
        """A token has been written. The end of the turn is never passed on."""
        ...


ConstraintMaker = Callable[[Sequence[ToolSpec], str], Constraint | None]
"""Gives the constraint of a reply for its tools and `tool_choice`, or None when all is allowed."""
