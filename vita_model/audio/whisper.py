"""The small listener's encoder: Whisper tiny's audio encoder, run on whole utterances.

Log-mel frames of 10 ms, two convolutions (stride 2), four transformer blocks of width 384; 50 rows
a second. It is kept frozen in training: it has heard people, our synthetic voices have not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from vita_model.audio.encoder import chunk_mask

RATE = 16_000
WINDOW = 400
HOP = 160
ROWS_PER_SECOND = 50


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """Sizes of the encoder; the defaults are Whisper tiny's."""

    mels: int = 80
    width: int = 384
    heads: int = 6
    hidden: int = 1536
    layers: int = 4
    tail_seconds: float = 0.4


def _hz_to_mel(hz: Tensor) -> Tensor:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    linear = hz / (200.0 / 3)
    step = math.log(6.4) / 27.0
    return torch.where(hz >= 1000.0, 15.0 + torch.log(hz.clamp(min=1.0) / 1000.0) / step, linear)


def _mel_to_hz(mel: Tensor) -> Tensor:
    step = math.log(6.4) / 27.0
    return torch.where(mel >= 15.0, 1000.0 * torch.exp(step * (mel - 15.0)), mel * (200.0 / 3))


def mel_filters(mels: int) -> Tensor:
    """Slaney-normalised triangles, `[mels, WINDOW // 2 + 1]`."""
    bins = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    top = _hz_to_mel(torch.tensor([RATE / 2.0], dtype=torch.float64))[0]
    points = _mel_to_hz(torch.linspace(0.0, float(top), mels + 2, dtype=torch.float64))
    width = torch.diff(points)
    slope = points[:, None] - bins[None]
    lower = -slope[:-2] / width[:-1, None]
    upper = slope[2:] / width[1:, None]
    filters = torch.clamp(torch.minimum(lower, upper), min=0.0)
    return (filters * (2.0 / (points[2:] - points[:-2]))[:, None]).float()


class LogMel(nn.Module):
    """Whisper's features: log10 mel power, clipped 8 below the maximum, scaled to about -1..1."""

    filters: Tensor
    window: Tensor

    def __init__(self, mels: int) -> None:
        super().__init__()
        self.register_buffer("filters", mel_filters(mels), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    @override
    def forward(self, samples: Tensor) -> Tensor:
        """`[samples]` at 16 kHz to `[mels, frames]`, one frame per 10 ms."""
        spectrum = torch.stft(
            samples,
            WINDOW,
            HOP,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )[:, :-1]
        power = self.filters @ spectrum.abs().square()
        logs = torch.log10(power.clamp(min=1e-10))
        return (torch.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0


class WhisperBlock(nn.Module):
    """Pre-norm transformer block; keys have no bias."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(width)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, width)

    @override
    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """`[batch, rows, width]` to the same.

        Args:
            x: The rows.
            seen: `[rows, rows]`, true where a row (first) sees another; None: all see all.
        """
        batch, rows, width = x.shape
        h = self.norm1(x)

        def split(value: Tensor) -> Tensor:
            return value.view(batch, rows, self.heads, -1).transpose(1, 2)

        out = F.scaled_dot_product_attention(
            split(self.q_proj(h)), split(self.k_proj(h)), split(self.v_proj(h)), attn_mask=seen
        )
        x = x + self.out_proj(out.transpose(1, 2).reshape(batch, rows, width))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class WhisperEncoder(nn.Module):
    """Utterance in, rows of `width` out."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.features = LogMel(config.mels)
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(WhisperBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    @property
    def tail_rows(self) -> int:
        """Rows at the end that hear nothing but the silent tail."""
        return int(self.config.tail_seconds * ROWS_PER_SECOND)

    def positions(self, rows: int) -> Tensor:
        """Sinusoids, `[rows, width]`: first half sine, second half cosine."""
        half = self.config.width // 2
        scale = math.log(10_000) / (half - 1)
        angle = torch.arange(rows)[:, None] * torch.exp(-scale * torch.arange(half))[None]
        return torch.cat([angle.sin(), angle.cos()], 1)

    @override
    def forward(self, samples: Tensor, chunk: int | None = None) -> Tensor:
        """One utterance, `[samples]` at 16 kHz (at most 30 s), to `[rows, width]`, 50 rows a second.

        A short silent tail is added; there is no padding to 30 seconds.

        Args:
            samples: The utterance.
            chunk: So many rows see each other and all before them, as if they came one chunk after
                the other; None: all rows see all.
        """
        padded = F.pad(samples, (0, int(self.config.tail_seconds * RATE)))
        x = self.features(padded)[None]
        x = F.gelu(self.conv1(x))
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions(x.shape[1])
        seen = None if chunk is None else chunk_mask(x.shape[1], chunk, -1)
        for layer in self.layers:
            x = layer(x, seen)
        return self.norm(x)[0]
