"""The adapter between the audio encoder and the language model."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vita_model.audio.encoder import Encoded
from vita_model.config import AdapterConfig


class SubsamplingAdapter(nn.Module):
    """Halves the frame rate and projects to the language model's width."""

    def __init__(self, config: AdapterConfig, output_size: int) -> None:
        super().__init__()
        self.config = config
        width = 2 * config.input_size
        self.conv1d2 = nn.Conv1d(config.input_size, width, config.kernel_size, stride=2)
        self.bn2 = nn.LayerNorm(width, eps=1e-3)
        self.project = nn.Linear(width, output_size)

    def reduce(self, padded: Tensor) -> Tensor:
        """Rows `[batch, n, input_size]`, padding included, to `[batch, m, output_size]`."""
        rows = self.conv1d2(padded.transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, self.project(F.gelu(self.bn2(rows))))

    @override
    def forward(self, hidden: Tensor, mask: Tensor) -> Encoded:
        """`[batch, frames, input_size]` to `[batch, ceil(frames / 2), output_size]` and its mask."""
        rows = hidden.masked_fill(~mask[:, :, None], 0.0)
        extra = self.config.kernel_size - 1
        sides = (0, 0, 0, extra) if self.config.padding == "right" else (0, 0, extra, 0)
        return Encoded(self.reduce(F.pad(rows, sides)), mask[:, ::2])
