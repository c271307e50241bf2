"""Codec ids to speech as early as possible: small first pieces, cross-faded seams, nothing held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LatencyPlan:
    """When ids are decoded.

    Attributes:
        first: New ids of the first piece; each further one has twice as many.
        most: New ids of the largest piece.
        left: Ids before a piece that are decoded with it and thrown away.
        right: Ids after a piece that are decoded with it; the first sound waits for them.
        fade: Samples over which a piece is blended into the next one's view of the same place;
            at most `right * hop`.
        hop: Samples per id.
    """

    first: int = 4
    most: int = 32
    left: int = 10
    right: int = 3
    fade: int = 240
    hop: int = 600

    def __post_init__(self) -> None:
        if self.first < 1 or self.most < self.first or min(self.left, self.right, self.fade) < 0:
            raise ValueError("a plan needs at least one id a piece and no negative length")
        if self.fade > self.right * self.hop:
            raise ValueError("the cross-fade cannot be longer than what is decoded ahead")


@dataclass(slots=True)
class LowLatencyStream:
    """Turns a growing row of codec ids into audio; every piece comes out at once.

    A piece decoded with few ids after it differs a little from what more ids would have made of
    its end. The next piece knows better, so the seam goes gradually from the one to the other.
    `decode` maps ids to samples `[len(ids) * hop]`.
    """

    decode: Callable[[Sequence[int]], Tensor]
    plan: LatencyPlan = field(default_factory=LatencyPlan)
    _ids: list[int] = field(default_factory=list)
    _left: int = 0
    _chunk: int = 0
    _ahead: Tensor = field(default_factory=lambda: torch.zeros(0))

    def push(self, code: int) -> Tensor | None:
        """Take one more id; returns a piece `[samples]` when one is ready."""
        plan = self.plan
        self._chunk = self._chunk or plan.first
        self._ids.append(code)
        if len(self._ids) < self._left + self._chunk + plan.right:
            return None
        end = self._left + self._chunk
        samples = self.decode(self._ids)
        piece = self._blended(samples[self._left * plan.hop : end * plan.hop])
        self._ahead = samples[end * plan.hop : end * plan.hop + plan.fade]
        self._left = min(end, plan.left)
        self._ids = self._ids[end - self._left :]
        self._chunk = min(2 * self._chunk, plan.most)
        return piece

    def finish(self) -> Tensor:
        """The rest of the utterance `[samples]`, possibly empty; the stream is then empty."""
        rest = torch.zeros(0)
        if len(self._ids) > self._left:
            rest = self._blended(self.decode(self._ids)[self._left * self.plan.hop :])
        self._ids, self._left, self._chunk, self._ahead = [], 0, 0, torch.zeros(0)
        return rest

    def _blended(self, piece: Tensor) -> Tensor:
        length = min(self._ahead.shape[0], piece.shape[0])
        if not length:
            return piece
        share = torch.arange(1, length + 1, device=piece.device) / (length + 1)
        seam = torch.lerp(self._ahead[:length].to(piece), piece[:length], share.to(piece))
        return torch.cat([seam, piece[length:]])
