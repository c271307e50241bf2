"""Several conversations in one row of a batch, each to itself or, as published, in one another's sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vita_model.splice import IGNORE, Spliced


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch for the language model.

    Attributes:
        embeds: `[rows, n, width]`, zero where nothing stands.
        mask: bool `[rows, 1, n, n]`, who may see whom.
        positions: int64 `[rows, n]`.
        labels: int64 `[rows, n]`, `IGNORE` where nothing is learnt.
    """

    embeds: Tensor
    mask: Tensor
    positions: Tensor
    labels: Tensor


def bins(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which samples share a row: in their order, a new row where the next would not fit.

    Args:
        lengths: Positions of each sample; longer ones than `room` are cut to it.
        room: Positions of a row.
    """
    rows: list[list[int]] = []
    left = 0
    for index, length in enumerate(lengths):
        needed = min(length, room)
        if not rows or needed > left:
            rows.append([])
            left = room
        rows[-1].append(index)
        left -= needed
    return rows


def pack(samples: Spliced, rows: Sequence[Sequence[int]], *, apart: bool) -> Packed:
    """Join samples into rows.

    Args:
        samples: One sample a row, padded on the right, with labels.
        rows: From `bins`: which samples make up each row.
        apart: Each sample sees itself only and counts positions from 0. Otherwise the row is one
            long conversation, as the published packing makes it: later samples see earlier ones.
    """
    if samples.labels is None:
        raise ValueError("only labelled samples are packed")
    lengths = samples.mask.sum(1).tolist()
    size = max(sum(lengths[index] for index in row) for row in rows)
    first = samples.embeds
    embeds = first.new_zeros(len(rows), size, first.shape[2])
    labels = samples.labels.new_full((len(rows), size), IGNORE)
    positions = torch.zeros_like(labels)
    owner = labels.new_full((len(rows), size), -1)
    pieces: list[Tensor] = []
    for number, row in enumerate(rows):
        at = 0
        parts = []
        for index in row:
            count = lengths[index]
            parts.append(first[index, :count])
            kept = samples.labels[index, :count].clone()
            kept[:1] = IGNORE  # nothing before it predicts it
            labels[number, at : at + count] = kept
            owner[number, at : at + count] = index if apart else 0
            positions[number, at : at + count] = samples.positions[index, :count] + (
                0 if apart else at
            )
            at += count
        parts.append(embeds[number, at:])
        pieces.append(torch.cat(parts))
    order = torch.arange(size, device=labels.device)
    sees = (owner[:, :, None] == owner[:, None]) & (order[:, None] >= order[None])
    sees = sees | torch.eye(size, dtype=torch.bool, device=labels.device)  # padding sees itself
    return Packed(torch.stack(pieces), sees[:, None], positions, labels)
