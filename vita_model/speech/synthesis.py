"""Codec ids to speech while they are still being generated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LEADING_SILENCE = 0.03


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """When codec ids are decoded, and where the audio may be cut.

    Attributes:
        chunk: New ids per decoded piece. 20 is right for the first sentence, 40 afterwards.
        margin: Ids decoded on each side of a piece and thrown away again.
        hop: Samples per id.
        window: Length of a quiet place, in samples.
        threshold: Mean magnitude below which a window is quiet. 0.1 for the first sentence, 0.015
            afterwards; 0 never cuts, infinity cuts every piece.
    """

    chunk: int = 40
    margin: int = 10
    hop: int = 600
    window: int = 2401
    threshold: float = 0.015


@dataclass(frozen=True, slots=True)
class PublishedPlan:
    """How the published server makes speech: the first phrase early, silence in front of it cut off.

    Attributes:
        first: Of the first phrase.
        rest: Of the others.
        level: Magnitude up to which samples in front of all speech are silence.
    """

    first: ChunkPlan = field(default_factory=lambda: ChunkPlan(chunk=20, threshold=0.1))
    rest: ChunkPlan = field(default_factory=ChunkPlan)
    level: float = _LEADING_SILENCE


def quiet_cut(piece: Tensor, window: int, threshold: float) -> int | None:
    """Where to cut a piece `[samples]`: its quietest sample in or behind its quietest window.

    Windows whose middle lies in the second half are looked at. The published search for the sample
    runs on behind the window, by as far as the window is from the first one; it is kept, so that
    cuts fall where they fell. None when even the quietest window is not below the threshold or the
    piece is no longer than a window.
    """
    if piece.shape[0] <= window:
        return None
    loudness = piece.abs()
    first = piece.shape[0] // 2 - window // 2
    means = loudness[first:].unfold(0, window, 1).mean(dim=1)
    quietest = int(means.argmin())
    if float(means[quietest]) >= threshold:
        return None
    start = first + quietest
    return start + int(loudness[start : start + quietest + window].argmin())


def hold_back(
    held: Tensor, piece: Tensor, window: int, threshold: float
) -> tuple[Tensor, Tensor | None]:
    """What is held back of `held` and `piece` `[samples]`, and the segment that is let go, if any.

    See `quiet_cut` for the place of the cut; without one all is held back.
    """
    held = held.to(piece)
    cut = quiet_cut(piece, window, threshold)
    if cut is None:
        return torch.cat([held, piece]), None
    return piece[cut:], torch.cat([held, piece[:cut]])


@dataclass(slots=True)
class SpeechStream:
    """Turns a growing row of codec ids into segments of audio that end in quiet places.

    `decode` maps ids to samples `[len(ids) * hop]`.
    """

    decode: Callable[[Sequence[int]], Tensor]
    plan: ChunkPlan = field(default_factory=ChunkPlan)
    _ids: list[int] = field(default_factory=list)
    _left: int = 0
    _held: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def held(self) -> int:
        """Samples that are decoded and wait for a quiet place."""
        return self._held.shape[0]

    def push(self, code: int) -> Tensor | None:
        """Take one more id; returns a segment `[samples]` when one is ready."""
        self._ids.append(code)
        plan = self.plan
        if len(self._ids) < self._left + plan.chunk + plan.margin:
            return None
        samples = self.decode(self._ids)
        piece = samples[self._left * plan.hop : samples.shape[0] - plan.margin * plan.hop]
        self._ids = self._ids[-2 * plan.margin :] if plan.margin else []
        self._left = plan.margin
        self._held, segment = hold_back(self._held, piece, plan.window, plan.threshold)
        return segment

    def finish(self) -> Tensor:
        """The rest of the utterance `[samples]`, possibly empty; the stream is then empty."""
        segment = self._held
        if len(self._ids) > self._left:
            tail = self.decode(self._ids)[self._left * self.plan.hop :]
            segment = torch.cat([segment.to(tail), tail])
        self._ids, self._left, self._held = [], 0, torch.zeros(0)
        return segment


def without_leading_silence(samples: Tensor, level: float = _LEADING_SILENCE) -> Tensor:
    """Drop samples before the first whose magnitude exceeds `level`; all of them if none does."""
    loud = (samples.abs() > level).nonzero()
    return samples[int(loud[0]) :] if loud.shape[0] else samples[:0]


def to_int16(samples: Tensor) -> NDArray[np.int16]:
    """Float samples in [-1, 1] to 16-bit ones; what lies outside is clipped, never wrapped."""
    scaled = (samples.detach().float().cpu() * 32768.0).round().clamp(-32768, 32767)
    return np.asarray(scaled.to(torch.int16).numpy())
