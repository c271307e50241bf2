"""Fewer rows for the frames of a video: every fourth keeps more of them than the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch.nn.functional as F
from torch import Tensor

_SLOW_EVERY = 4
_SLOW_SIDE, _FAST_SIDE = 12, 7


def resize(rows: Tensor, side: int) -> Tensor:
    """Rows `[n * n, width]` of a square grid to `[side * side, width]`, bilinearly."""
    size = round(rows.shape[0] ** 0.5)
    if size * size != rows.shape[0]:
        raise ValueError(f"{rows.shape[0]} rows are no square grid")
    grid = rows.T.unflatten(1, (size, size))[None]
    scaled = F.interpolate(grid, (side, side), mode="bilinear", align_corners=False)
    return scaled[0].flatten(1).T


def slow_fast(blocks: Sequence[Tensor], clips: Sequence[int]) -> list[Tensor]:
    """Pool the frames of video clips.

    Args:
        blocks: Rows `[n, width]` of each picture or frame, in order.
        clips: Number of the clip each one belongs to; neighbours with equal numbers are one clip.
            0 marks pictures, which stay as they are.

    Returns:
        144 rows for the first of every four frames of a clip, 49 for the others.
    """
    pooled: list[Tensor] = []
    for clip, members in groupby(zip(clips, blocks, strict=True), key=lambda pair: pair[0]):
        for number, (_, block) in enumerate(members):
            side = _FAST_SIDE if number % _SLOW_EVERY else _SLOW_SIDE
            pooled.append(resize(block, side) if clip > 0 else block)
    return pooled
