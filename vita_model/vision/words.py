"""What the small model's eye can tell apart, in words of the language model's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

COLOURS = ("red", "green", "blue", "yellow", "black", "white", "orange", "purple")
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
NOTHING = "nothing"
THINGS = (*SHAPES, *"0123456789", NOTHING)


def word_ids(words: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """The one token of every word."""
    return [
        tokenizer.encode(word if word.isdigit() else f" {word}", add_special_tokens=False).ids[0]
        for word in words
    ]


class Sight:
    """Names what the eye's rows are nearest to in the language model's embedding table.

    The first half of the rows tells the colour, the second half the thing.
    """

    def __init__(self, tokenizer: Tokenizer, table: Tensor) -> None:
        self.ids = dict(zip(words := (*COLOURS, *THINGS), word_ids(words, tokenizer), strict=True))
        rows = F.normalize(table[torch.tensor(list(self.ids.values()))].float(), dim=-1)
        self._colours, self._things = rows.split([len(COLOURS), len(THINGS)])

    def scores(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Nearness (-1 to 1) of pictures `[n, rows, width]` to every colour and every thing."""
        colour, thing = (half.mean(1) for half in rows.float().chunk(2, 1))
        return (
            F.normalize(colour, dim=-1) @ self._colours.T,
            F.normalize(thing, dim=-1) @ self._things.T,
        )

    def words(self, rows: Tensor) -> list[tuple[str, ...]]:
        """Words for pictures: colour and thing, or `nothing` alone."""
        colours, things = (scores.argmax(1).tolist() for scores in self.scores(rows))
        return [
            (NOTHING,) if THINGS[thing] == NOTHING else (COLOURS[colour], THINGS[thing])
            for colour, thing in zip(colours, things, strict=True)
        ]
