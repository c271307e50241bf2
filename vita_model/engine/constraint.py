"""What a grammar must offer so that the engine keeps a reply within it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from vita_model.engine.voice import ToolSpec


class Constraint(Protocol):
    """Follows the tokens of one reply, from the first after the state token.

    The engine asks in this order, once for each step: `forced`; if that is empty, `mask` on the
    scores it is about to choose from. Then `accept` for every token, forced or chosen, and
    `forced` again: what a choice forces is written in one pass with it. Methods run in the
    engine's thread and must be quick: they stand between two steps of all running replies.
    Whatever one raises ends that reply alone.
    """

    def forced(self) -> Sequence[int]:
        """Tokens that must come next, none while there is a choice. The turn's end may be the last."""
        ...

    def mask(self, scores: Tensor) -> None:
        """Put `-inf` in place on what must not come next; `scores` is `[vocabulary]`, float32."""
        ...

    def accept(self, token: int) -> None:
        """A token will be written. The end of the turn is never passed on."""
        ...


class ConstraintMaker(Protocol):
    """Gives the constraint of each reply."""

    def __call__(self, tools: Sequence[ToolSpec], choice: str, *, parallel: bool) -> Constraint:
        """What keeps one reply in order.

        Args:
            tools: Those offered.
            choice: "auto", "none", "required" or the name of the tool to call.
            parallel: The reply may make several calls.
        """
        ...


def next_tokens(
    constraint: Constraint,
    scores: Callable[[], Tensor],
    end: int,
    choose: Callable[[Tensor], int],
) -> list[int]:
    """The next choice and all that it forces, for one pass; accepted already.

    Args:
        constraint: That of the reply.
        scores: Gives scores of the next token, `[vocabulary]`, to be changed in place.
        end: The token that ends a turn.
        choose: Gives a token for the scores that are left.
    """
    tokens = list(constraint.forced())
    if not tokens:
        found = scores()
        constraint.mask(found)
        tokens = [choose(found)]
    done = 0
    while tokens[-1] != end:
        for token in tokens[done:]:
            constraint.accept(token)
        done = len(tokens)
        forced = constraint.forced()
        if not forced:
            break
        tokens += forced
    return tokens
