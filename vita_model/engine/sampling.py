"""How the next token is chosen from its scores."""

from __future__ import annotations

import torch
from torch import Tensor

from vita_model.engine.voice import Sampling


class Sampler:
    """Chooses the tokens of one answer.

    Args:
        sampling: How. The same seed gives the same answer to the same conversation.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._chance: torch.Generator | None = None
        if sampling.temperature > 0:
            self._chance = torch.Generator()
            if sampling.seed is None:
                self._chance.seed()
            else:
                self._chance.manual_seed(sampling.seed)

    def __call__(self, scores: Tensor) -> int:
        """A token, given `[vocabulary]` in float32; one with `-inf` is never chosen."""
        if self._chance is None:
            return int(scores.argmax())
        shares = torch.softmax(scores.cpu() / self._sampling.temperature, -1)
        ranked, order = shares.sort(descending=True)
        before = ranked.cumsum(-1) - ranked
        ranked[before >= self._sampling.top_p] = 0.0  # the likeliest one always stays
        return int(order[torch.multinomial(ranked, 1, generator=self._chance)])
