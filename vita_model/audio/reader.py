"""Reads the frozen encoder's rows as units of the language model, one after the other.

A CTC head guesses every unit from the sound alone. This is Whisper tiny's decoder with the language
model's units for its vocabulary: each unit is chosen with the sound and all units before it in
view, which is what hears through noise. An utterance whose first unit is the end holds no words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

END = 0
"""Class of the end; class `n` is unit `n` of the inventory."""
STARTS = 2
"""Learned rows in front of the first unit."""
BEAM = 4
_HOPELESS = 6.0
"""A beginning this much less likely (natural logarithm) than the best one is given up."""
_ROWS_PER_UNIT = 6
"""Nobody speaks more than eight units a second, and there are fifty rows in one."""


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """Sizes; the defaults are those of Whisper tiny's decoder. `units` counts without the end."""

    width: int = 384
    heads: int = 6
    hidden: int = 1536
    layers: int = 4
    longest: int = 96
    units: int = 0


class ReaderBlock(nn.Module):
    """Attention to the units before, attention to the sound, feed-forward part."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.sound_q = nn.Linear(width, width)
        self.sound_kv = nn.Linear(width, 2 * width)
        self.sound_out = nn.Linear(width, width)
        self.norm3 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, width)

    def split(self, value: Tensor) -> Tensor:
        """`[batch, n, width]` to `[batch, heads, n, width / heads]`."""
        return value.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def sound(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of encoder rows `[batch, rows, width]`."""
        keys, values = self.sound_kv(rows).chunk(2, -1)
        return self.split(keys), self.split(values)

    @override
    def forward(
        self,
        x: Tensor,
        sound: tuple[Tensor, Tensor],
        heard: Tensor | None,
        before: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One block over `x` `[batch, n, width]`.

        Args:
            x: New positions.
            sound: From `sound`.
            heard: `[batch, 1, 1, rows]`, true where a row exists; None if all do.
            before: Keys and values of earlier positions, when `x` is one position.

        Returns:
            The new `x`, and keys and values of all positions so far.
        """
        q, k, v = (self.split(part) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        if before is not None:
            k, v = torch.cat([before[0], k], 2), torch.cat([before[1], v], 2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=before is None)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        q = self.split(self.sound_q(self.norm2(x)))
        mixed = F.scaled_dot_product_attention(q, *sound, attn_mask=heard)
        x = x + self.sound_out(mixed.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm3(x)))), (k, v)


class Reader(nn.Module):
    """Encoder rows in, units out."""

    unit_ids: Tensor

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Parameter(torch.zeros(config.units + 1, config.width))
        self.starts = nn.Parameter(torch.zeros(STARTS, config.width))
        self.positions = nn.Parameter(torch.zeros(config.longest, config.width))
        self.blocks = nn.ModuleList(ReaderBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("unit_ids", torch.zeros(config.units, dtype=torch.int32))

    def _layers(self) -> Iterable[ReaderBlock]:
        return cast(Iterable[ReaderBlock], self.blocks)

    @override
    def forward(self, rows: Tensor, lengths: Tensor, units: Tensor) -> Tensor:
        """What follows each unit, given those before it.

        Args:
            rows: Encoder rows, `[batch, rows, width]`, zero-padded.
            lengths: True row counts, `[batch]`.
            units: Classes of what was said, `[batch, n]`.

        Returns:
            Logits `[batch, n + 1, units + 1]`: of the first unit, and of what comes after each.
        """
        starts = self.starts.expand(len(units), -1, -1)
        x = torch.cat([starts, self.table[units]], 1)
        x = x + self.positions[: x.shape[1]]
        heard = (torch.arange(rows.shape[1])[None] < lengths[:, None])[:, None, None]
        for block in self._layers():
            x, _ = block(x, block.sound(rows), heard)
        return F.linear(self.norm(x[:, STARTS - 1 :]), self.table)

    @torch.no_grad()
    def read(self, rows: Tensor, width: int = BEAM) -> list[int]:
        """Classes of the units in one utterance's rows `[rows, width]`: the likeliest whole.

        Args:
            rows: Encoder rows of one utterance.
            width: How many beginnings are followed at once; 1 takes the likeliest unit at each step.
        """
        sounds = [block.sound(rows[None]) for block in self._layers()]
        memory: list[tuple[Tensor, Tensor] | None] = [None] * len(sounds)
        most = min(self.config.longest - STARTS, 4 + len(rows) // _ROWS_PER_UNIT)
        x = (self.starts + self.positions[:STARTS])[None]
        paths: list[list[int]] = [[]]
        scores = torch.zeros(1)
        done: tuple[float, list[int]] = (-math.inf, [])
        while True:
            for index, (block, sound) in enumerate(zip(self._layers(), sounds, strict=True)):
                spread = tuple(part.expand(len(paths), -1, -1, -1) for part in sound)
                x, memory[index] = block(x, (spread[0], spread[1]), None, memory[index])
            logits = F.linear(self.norm(x[:, -1]), self.table)
            chances = scores[:, None] + logits.log_softmax(-1)
            ended, path = chances[:, END].max(0)
            done = max(done, (float(ended), paths[int(path)]))
            chances[:, END] = -math.inf
            scores, places = chances.flatten().topk(width)
            hope = scores > max(done[0], float(scores[0]) - _HOPELESS)
            if not hope.any():
                return done[1]
            if len(paths[0]) >= most:
                return paths[int(places[0]) // logits.shape[1]]
            scores, places = scores[hope], places[hope]
            origins, units = places // logits.shape[1], places % logits.shape[1]
            x = (self.table[units] + self.positions[STARTS + len(paths[0])])[:, None]
            paths = [
                [*paths[origin], unit]
                for origin, unit in zip(origins.tolist(), units.tolist(), strict=True)
            ]
            memory = [(k[origins], v[origins]) for k, v in _known(memory)]

    def tokens(self, units: list[int]) -> list[int]:
        """Token ids of classes."""
        return [int(self.unit_ids[unit - 1]) for unit in units]


def _known(
    memory: Iterable[tuple[Tensor, Tensor] | None],
) -> Iterable[tuple[Tensor, Tensor]]:
    return (pair for pair in memory if pair is not None)
