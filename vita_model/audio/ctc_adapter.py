"""The small listener's adapter: frozen encoder rows to rows of the language model's own table.

Free adapters need far more data to find the places a language model reads words from. This one
passes a CTC bottleneck over the model's vocabulary: each token that is read from the posteriors
becomes one row, and the tokens are the caller's transcript. An utterance in which no token wins
gives no row at all: that is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from vita_model.audio.beam import Search, WordModel


@dataclass(frozen=True, slots=True)
class CtcAdapterConfig:
    """Sizes of the adapter. `units` counts tokens, without the blank."""

    input_width: int = 384
    width: int = 256
    heads: int = 4
    hidden: int = 640
    blocks: tuple[int, int] = (1, 3)
    units: int = 0
    letters: int = 28


class Block(nn.Module):
    """Bidirectional pre-norm block with rotary positions."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    @override
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`[batch, rows, width]`; `mask` `[batch, 1, 1, rows]` is true where a row exists."""
        batch, rows, width = x.shape
        q, k, v = (
            part.view(batch, rows, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        cos, sin = _angles(rows, q.shape[-1])
        out = F.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, attn_mask=mask
        )
        x = x + self.out(out.transpose(1, 2).reshape(batch, rows, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def _angles(rows: int, width: int) -> tuple[Tensor, Tensor]:
    half = width // 2
    angle = torch.arange(rows)[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class CtcAdapter(nn.Module):
    """Trunk at 25 then 12.5 rows a second, with a letter head (training aid) and a unit head."""

    unit_ids: Tensor

    def __init__(self, config: CtcAdapterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.norm_in = nn.LayerNorm(config.input_width)
        self.conv1 = nn.Conv1d(config.input_width, width, 5, stride=2, padding=2)
        self.lower = nn.ModuleList(
            Block(width, config.heads, config.hidden) for _ in range(config.blocks[0])
        )
        self.letter_head = nn.Linear(width, config.letters + 1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.upper = nn.ModuleList(
            Block(width, config.heads, config.hidden) for _ in range(config.blocks[1])
        )
        self.norm_out = nn.LayerNorm(width)
        self.unit_head = nn.Linear(width, config.units + 1)
        self.register_buffer("unit_ids", torch.zeros(config.units, dtype=torch.int32))

    @override
    def forward(self, rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of both heads.

        Args:
            rows: Encoder rows, `[batch, rows, input_width]`, zero-padded.
            lengths: True row counts, `[batch]`.

        Returns:
            Letter logits at 25 a second and their lengths, unit logits at 12.5 a second and their
            lengths. Class 0 is the blank; unit `n` stands for token `unit_ids[n - 1]`.
        """
        x = F.gelu(self.conv1(self.norm_in(rows).transpose(1, 2))).transpose(1, 2)
        lengths = (lengths + 1) // 2
        mask = _mask(lengths, x.shape[1])
        x = x * mask[:, 0, 0, :, None]
        for block in self.lower:
            x = block(x, mask)
        letters, letter_lengths = self.letter_head(x), lengths
        x = x * mask[:, 0, 0, :, None]
        x = F.gelu(self.conv2(x.transpose(1, 2))).transpose(1, 2)
        lengths = (lengths + 1) // 2
        mask = _mask(lengths, x.shape[1])
        for block in self.upper:
            x = block(x, mask)
        return letters, letter_lengths, self.unit_head(self.norm_out(x)), lengths


def _mask(lengths: Tensor, rows: int) -> Tensor:
    return (torch.arange(rows)[None] < lengths[:, None])[:, None, None, :]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Heard tokens: ids `[n]` and their embedding rows `[n, width]`."""

    ids: list[int]
    rows: Tensor


@torch.no_grad()
def read(logits: Tensor, unit_ids: Tensor, table: Tensor, words: WordModel | None = None) -> Tokens:
    """The tokens of one utterance.

    With a word model each token becomes the language model's own row. Without one, a run of frames
    that agrees on a unit becomes one row, the mix of all rows by their probability in the run.

    Args:
        logits: Unit logits of one utterance, `[frames, units + 1]`.
        unit_ids: Token id of every unit, `[units]`.
        table: Embedding rows of the units in the same order, `[units, width]`.
        words: Which units follow one another.
    """
    if words is not None:
        places = torch.tensor(Search(words).units(logits), dtype=torch.long) - 1
        return Tokens(unit_ids[places].tolist(), table[places])
    posterior = torch.softmax(logits.float(), -1)
    units, counts = torch.unique_consecutive(posterior.argmax(-1), return_counts=True)
    ids: list[int] = []
    mixes: list[Tensor] = []
    for unit, run in zip(units.tolist(), posterior.split(counts.tolist()), strict=True):
        if unit:
            shares = run[:, 1:].sum(0)
            mixes.append((shares / shares.sum()) @ table)
            ids.append(int(unit_ids[unit - 1]))
    return Tokens(ids, torch.stack(mixes) if mixes else table[:0])
