"""The whale audio encoder: CMVN, convolutional subsampling by four, transformer."""

from __future__ import annotations

import math
from collections.abc import Callable
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
@torch.inference_mode(False)  # A table first made for inference is kept for training too.
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
    `q (k + p) + (u k + v p)`: plain attention with moved keys and one bias per key. Where positions
    are absolute, they are in the rows already and keys stay where they are.
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.heads
        self.heads = heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.moves_keys = config.positions == "key"
        if self.moves_keys:
            self.linear_pos = nn.Linear(width, width, bias=False)
            self.pos_bias_u = nn.Parameter(torch.zeros(heads, width // heads))
            self.pos_bias_v = nn.Parameter(torch.zeros(heads, width // heads))

    def split(self, rows: Tensor) -> Tensor:
        """`[batch, n, width]` to `[batch, heads, n, width / heads]`."""
        return cast(Tensor, rows.unflatten(2, (self.heads, -1)).transpose(1, 2))

    def keys_and_values(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of `rows` `[batch, n, width]`, each `[batch, heads, n, width / heads]`."""
        return self.split(self.linear_k(rows)), self.split(self.linear_v(rows))

    def place(self, keys: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Keys moved to their positions and their biases `[batch, heads, n]`, already scaled.

        Args:
            keys: From `keys_and_values`.
            positions: `[1, n, width]` sinusoids of the keys.
        """
        if not self.moves_keys:
            return keys, keys.new_zeros(keys.shape[:-1])
        moved = self.split(self.linear_pos(positions))
        bias = (keys @ self.pos_bias_u[:, :, None] + moved @ self.pos_bias_v[:, :, None])[..., 0]
        return keys + moved, bias * keys.shape[-1] ** -0.5

    def attend(
        self, rows: Tensor, keys: Tensor, bias: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Attention of `rows` `[batch, n, width]` over placed keys; `mask` is `[batch, 1, n or 1, m]`."""
        extra = bias[:, :, None]
        if mask is not None:
            extra = extra.masked_fill(~mask, -math.inf)
        queries = self.split(self.linear_q(rows))
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=extra)
        if mask is not None:
            mixed = mixed.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
        return cast(Tensor, self.linear_out(mixed.transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    """Two layers with ReLU between: linear ones, or convolutions along time."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        kernel = config.feed_forward_kernel
        self.kind = config.feed_forward
        self.back = kernel - 1 if self.kind == "conv1d-linear" else 0
        self.w_2: nn.Module = nn.Linear(inner, width)
        if self.kind == "linear":
            self.w_1: nn.Module = nn.Linear(width, inner)
        elif self.kind == "conv1d":
            self.w_1 = nn.Conv1d(width, inner, kernel, padding=kernel // 2)
            self.w_2 = nn.Conv1d(inner, width, kernel, padding=kernel // 2)
        else:
            self.w_1 = nn.Sequential(
                nn.Conv1d(width, width, kernel, groups=width), nn.Conv1d(width, inner, 1)
            )

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, n, width]` to the same."""
        if self.kind == "linear":
            return cast(Tensor, self.w_2(F.relu(self.w_1(rows))))
        maps = F.relu(self.w_1(F.pad(rows.transpose(1, 2), (self.back, 0))))
        if self.kind == "conv1d":
            return cast(Tensor, self.w_2(maps).transpose(1, 2))
        return cast(Tensor, self.w_2(maps.transpose(1, 2)))


class Layer(nn.Module):
    """A transformer layer; its attention is handed in, so that streaming can bring its own."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm_first = config.norm_first
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.self_attn = PositionalAttention(config)
        self.feed_forward = FeedForward(config)
        self.concat_linear = nn.Linear(2 * width, width) if config.concat_after else None

    def around(self, rows: Tensor, attention: Callable[[Tensor], Tensor]) -> Tensor:
        """`[batch, frames, width]` to the same, with `attention` in place of the layer's own."""
        entered = self.norm1(rows) if self.norm_first else rows
        mixed = attention(entered)
        if self.concat_linear is not None:
            mixed = self.concat_linear(torch.cat([entered, mixed], dim=-1))
        rows = rows + mixed
        if self.norm_first:
            return cast(Tensor, rows + self.feed_forward(self.norm2(rows)))
        rows = self.norm1(rows)
        return cast(Tensor, self.norm2(rows + self.feed_forward(rows)))

    @override
    def forward(self, rows: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """`[batch, frames, width]` to the same; see `PositionalAttention.attend` for the mask."""

        def attention(entered: Tensor) -> Tensor:
            keys, values = self.self_attn.keys_and_values(entered)
            placed = self.self_attn.place(keys, positions)
            return self.self_attn.attend(entered, *placed, values, mask)

        return self.around(rows, attention)


class TransformerStage(nn.Module):
    """Input layer, transformer layers and the closing norm."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.adds_positions = config.positions == "absolute"
        self.embed = nn.Sequential()
        if config.input_layer == "linear":
            self.embed = nn.Sequential(
                nn.Linear(config.between, width), nn.LayerNorm(width), nn.Identity(), nn.ReLU()
            )
        self.encoders = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.after_norm = nn.LayerNorm(width) if config.norm_first else nn.Identity()

    def enter(self, rows: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Embedded and scaled rows, and the sinusoids of their positions from `start`."""
        rows = self.embed(rows)
        width = rows.shape[2]
        positions = sinusoids(start, rows.shape[1], width)[None].to(rows)
        rows = rows * math.sqrt(width)
        return rows + positions if self.adds_positions else rows, positions

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
            [SubsamplingStage(config.mel_bins, config.between), TransformerStage(config)]
        )

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return cast(nn.Conv2d, self.subsampling.core.conv[0]).weight.dtype

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
        return Encoded(self.transformer(rows, self.visible(valid, chunk)), valid)

    def visible(self, valid: Tensor, chunk: tuple[int, int] | None = None) -> Tensor:
        """`[batch, 1, frames or 1, frames]`, true where a frame (row) may see another; see `forward`."""
        size, left = chunk or (self.config.chunk_size, self.config.left_chunks)
        seen = valid[:, None, None]
        return seen & chunk_mask(valid.shape[1], size, left, valid.device) if size > 0 else seen
