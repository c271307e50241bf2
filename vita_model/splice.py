"""Puts picture and audio rows among the token embeddings, where the placeholders stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IMAGE = -200
AUDIO = -500
IGNORE = -100
"""Label that takes no part in the loss."""


class SpliceError(ValueError):
    """Placeholders and media do not match, or a prompt is empty or too long."""


@dataclass(frozen=True, slots=True)
class Spliced:
    """A padded batch for the language model.

    Attributes:
        embeds: `[batch, n, width]`, zero where padded.
        mask: int64 `[batch, n]`, 1 where valid.
        positions: int64 `[batch, n]`, 0 where padded.
        labels: int64 `[batch, n]`, `IGNORE` at media and padding; None when none were given.
    """

    embeds: Tensor
    mask: Tensor
    positions: Tensor
    labels: Tensor | None


@dataclass(frozen=True, slots=True)
class _Row:
    embeds: Tensor
    labels: Tensor
    visual: Tensor


def _positions(visual: Tensor, stride: int | None) -> Tensor:
    """0, 1, 2, …; with a stride, each run of visual rows shares positions in groups of that size."""
    index = torch.arange(visual.shape[0], device=visual.device)
    if stride is None:
        return index
    # The last group of a run may be smaller; what follows a run always stands on a new position.
    before = torch.where(visual, -1, index).cummax(0).values
    opens = ~visual | ((index - before - 1) % stride == 0)
    return opens.cumsum(0) - 1


def _take(blocks: Iterator[Tensor], kind: str) -> Tensor:
    block = next(blocks, None)
    if block is None:
        raise SpliceError(f"the prompt has more {kind} placeholders than {kind} blocks were given")
    return block


def splice(
    sequences: Sequence[Tensor],
    embed: Callable[[Tensor], Tensor],
    *,
    images: Sequence[Tensor] = (),
    audios: Sequence[Tensor] = (),
    labels: Sequence[Tensor] | None = None,
    audio_labels: Sequence[int] | None = None,
    max_length: int = 6200,
    cut: bool = True,
    pad_left: bool = False,
    visual_stride: int | None = None,
) -> Spliced:
    """Build the language model's input.

    Args:
        sequences: Token ids of each sample, int64 `[n]`, with `IMAGE` and `AUDIO` placeholders.
        embed: The embedding table: int64 `[n]` to `[n, width]`; called once.
        images: One block `[rows, width]` per image placeholder, in order over the whole batch.
        audios: One block per audio placeholder, likewise.
        labels: Labels of each sample's tokens; those of placeholders are not used.
        audio_labels: A label for the last row of each audio block.
        max_length: Positions a sample may have.
        cut: Cut longer samples at the end, as in training, instead of refusing them.
        pad_left: Pad shorter samples on the left instead of the right.
        visual_stride: Let this many neighbouring visual rows share a position.

    Raises:
        SpliceError: The number of blocks does not equal the number of placeholders; or, where
            nothing is cut, a sample is empty or too long.
    """
    texts = [ids[(ids != IMAGE) & (ids != AUDIO)] for ids in sequences]
    embedded = embed(torch.cat(texts)).split([text.shape[0] for text in texts])
    image_blocks, audio_blocks = iter(images), iter(audios)
    state_labels = iter(audio_labels or ())
    rows: list[_Row] = []
    for number, (ids, text) in enumerate(zip(sequences, embedded, strict=True)):
        wanted = ids if labels is None else labels[number]
        pieces, marks, visual, start, used = [], [], [], 0, 0
        places = ((ids == IMAGE) | (ids == AUDIO)).nonzero()[:, 0].tolist()
        for place in [*places, ids.shape[0]]:
            count = place - start
            pieces.append(text[used : used + count])
            marks.append(wanted[start:place])
            visual.append(ids.new_zeros(count, dtype=torch.bool))
            start, used = place + 1, used + count
            if place == ids.shape[0]:
                break
            seen = bool(ids[place] == IMAGE)
            block = _take(image_blocks, "image") if seen else _take(audio_blocks, "audio")
            mark = wanted.new_full((block.shape[0],), IGNORE)
            if not seen and audio_labels is not None:
                mark[-1:] = next(state_labels)
            pieces.append(block.to(text))
            marks.append(mark)
            visual.append(ids.new_full((block.shape[0],), seen, dtype=torch.bool))
        rows.append(_Row(torch.cat(pieces), torch.cat(marks), torch.cat(visual)))
    if next(image_blocks, None) is not None or next(audio_blocks, None) is not None:
        raise SpliceError("more image or audio blocks were given than the prompt has placeholders")
    if not cut:
        _check_lengths(rows, max_length)
    return _pad(rows, labels is not None, max_length, pad_left, visual_stride)


def _check_lengths(rows: Sequence[_Row], most: int) -> None:
    for row in rows:
        if not 0 < row.visual.shape[0] <= most:
            raise SpliceError(
                f"a prompt of {row.visual.shape[0]} positions cannot be answered, it may have 1 to"
                f" {most}; a VitaProcessor keeps conversations within that"
            )


def _pad(
    rows: Sequence[_Row], labelled: bool, max_length: int, pad_left: bool, stride: int | None
) -> Spliced:
    size = min(max_length, max(row.visual.shape[0] for row in rows))
    first = rows[0]
    embeds = first.embeds.new_zeros(len(rows), size, first.embeds.shape[1])
    mask = first.labels.new_zeros(len(rows), size)
    positions = torch.zeros_like(mask)
    labels = torch.full_like(mask, IGNORE)
    for number, row in enumerate(rows):
        count = min(size, row.visual.shape[0])
        place = slice(size - count, size) if pad_left else slice(0, count)
        embeds[number, place] = row.embeds[:count]
        mask[number, place] = 1
        positions[number, place] = _positions(row.visual[:count], stride)
        labels[number, place] = row.labels[:count]
    return Spliced(embeds, mask, positions, labels if labelled else None)
