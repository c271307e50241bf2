"""The whale audio encoder: CMVN, convolutional subsampling by four, transformer."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vita_model.audio.features import GlobalCmvn
from vita_model.config import AudioEncoderConfig


class Encoded(NamedTuple):
    """Encoder output: `hidden` is `[batch, frames, width]`, `mask` `[batch, frames]` is true where valid."""

    hidden: Tensor
    mask: Tensor


@lru_cache(maxsize=8)
def _sinusoids(length: int, width: int) -> Tensor:
    steps = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * steps
    return torch.stack([angles.sin(), angles.cos()], dim=2).view(length, width)


def sinusoids(start: int, length: int, width: int) -> Tensor:
    """Rows `start` to `start + length` of the interleaved sine and cosine table, float32."""
    table = 1 << max(9, (start + length - 1).bit_length())
    return _sinusoids(table, width)[start : start + length]


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """`[batch, size]`, true at positions below each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def chunk_mask(frames: int, chunk: int, left: int, device: torch.device | None = None) -> Tensor:
    """`[frames, frames]`, true where a query (row) may see a key (column).

    A frame sees its own chunk whole and `left` chunks before it (all of them when negative).
    """
    index = torch.arange(frames, device=device) // chunk
    distance = index[:, None] - index[None, :]
    visible = distance >= 0
    return visible if left < 0 else visible & (distance <= left)


class Subsampling(nn.Module):
    """Two 3x3 convolutions of stride 2: four mel frames become one row."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2),
            nn.ReLU(),
        )
        self.out = nn.Sequential(nn.Linear(width * (((bins - 1) // 2 - 1) // 2), width))

    @override
    def forward(self, features: Tensor) -> Tensor:
        """`[batch, frames, bins]` to `[batch, encoder_frames(frames), width]`."""
        maps = self.conv(features[:, None])
        return cast(Tensor, self.out(maps.transpose(1, 2).flatten(2)))


class SubsamplingStage(nn.Module):
    """Holds the subsampling under its published name."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.core = Subsampling(bins, width)

    @override
    def forward(self, features: Tensor) -> Tensor:
        """See `Subsampling.forward`."""
        return cast(Tensor, self.core(features))


class PositionalAttention(nn.Module):
    """Self-attention whose scores are `(q + u) k + (q + v) p`, `p` a projected key position.

    Because `p` belongs to the key's own index (nothing is shifted), the score equals
    `q (k + p) + (u k + v p)`: plain attention with moved keys and one bias per key.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, width // heads))

    def split(self, rows: Tensor) -> Tensor:
        """`[batch, n, width]` to `[batch, heads, n, width / heads]`."""
        return cast(Tensor, rows.unflatten(2, (self.heads, -1)).transpose(1, 2))

    def keys_and_values(self, rows: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Moved keys, values and key biases (already scaled) of `rows`.

        Args:
            rows: `[batch, n, width]`.
            positions: `[1, n, width]` sinusoids of the rows.
        """
        keys, moved = self.split(self.linear_k(rows)), self.split(self.linear_pos(positions))
        bias = (keys @ self.pos_bias_u[:, :, None] + moved @ self.pos_bias_v[:, :, None])[..., 0]
        scale = keys.shape[-1] ** -0.5
        return keys + moved, self.split(self.linear_v(rows)), bias * scale

    def attend(
        self, rows: Tensor, keys: Tensor, values: Tensor, bias: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Attention of `rows` `[batch, n, width]` over prepared keys; `mask` is `[batch, 1, n or 1, m]`."""
        extra = bias[:, :, None]
        if mask is not None:
            extra = extra.masked_fill(~mask, -math.inf)
        queries = self.split(self.linear_q(rows))
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=extra)
        if mask is not None:
            mixed = mixed.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
        return cast(Tensor, self.linear_out(mixed.transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    """Two linear layers with ReLU between."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width)

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[..., width]` to `[..., width]`."""
        return cast(Tensor, self.w_2(F.relu(self.w_1(rows))))


class Layer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size)
        self.norm2 = nn.LayerNorm(config.hidden_size)
        self.self_attn = PositionalAttention(config.hidden_size, config.heads)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)

    @override
    def forward(self, rows: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """`[batch, frames, width]` to the same; see `PositionalAttention.attend` for the mask."""
        normed = self.norm1(rows)
        prepared = self.self_attn.keys_and_values(normed, positions)
        rows = rows + self.self_attn.attend(normed, *prepared, mask)
        return cast(Tensor, rows + self.feed_forward(self.norm2(rows)))


class TransformerStage(nn.Module):
    """Input layer, transformer layers and the closing norm."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.embed = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.Identity(), nn.ReLU()
        )
        self.encoders = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.after_norm = nn.LayerNorm(width)

    def enter(self, rows: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Embedded and scaled rows, and the sinusoids of their positions from `start`."""
        width = rows.shape[2]
        embedded = self.embed(rows) * math.sqrt(width)
        return embedded, sinusoids(start, rows.shape[1], width)[None].to(embedded)

    @override
    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """`[batch, frames, width]` to the same."""
        rows, positions = self.enter(rows)
        for layer in self.encoders:
            rows = layer(rows, positions, mask)
        return cast(Tensor, self.after_norm(rows))


class WhaleEncoder(nn.Module):
    """Filter banks to one row per 40 ms."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.global_cmvn = GlobalCmvn(config.mel_bins)
        self.enc = nn.ModuleList(
            [SubsamplingStage(config.mel_bins, config.hidden_size), TransformerStage(config)]
        )

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.transformer.after_norm.weight.dtype

    @property
    def subsampling(self) -> SubsamplingStage:
        """The first stage."""
        return cast(SubsamplingStage, self.enc[0])

    @property
    def transformer(self) -> TransformerStage:
        """The second stage."""
        return cast(TransformerStage, self.enc[1])

    @override
    def forward(
        self, features: Tensor, lengths: Tensor, chunk: tuple[int, int] | None = None
    ) -> Encoded:
        """Encode a padded batch.

        Args:
            features: Log mel filter banks `[batch, frames, bins]`, at least 7 frames.
            lengths: int64 `[batch]`, frames of each utterance.
            chunk: (chunk size, left chunks) in place of the configured ones, for this call.
        """
        if features.shape[1] < 7:
            raise ValueError("an utterance must last at least 85 ms (7 filter-bank frames)")
        rows = self.subsampling(self.global_cmvn(features).to(self.dtype))
        valid = length_mask(lengths, features.shape[1])[:, 2::2][:, 2::2]
        size, left = chunk or (self.config.chunk_size, self.config.left_chunks)
        visible = valid[:, None, None]
        if size > 0:
            visible = visible & chunk_mask(rows.shape[1], size, left, rows.device)
        return Encoded(self.transformer(rows, visible), valid)
