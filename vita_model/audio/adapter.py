"""Adapters between the audio encoder and the language model."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vita_model.audio.encoder import Encoded
from vita_model.config import AdapterConfig, CnnAdapterConfig, LinearAdapterConfig

_EPS = 1e-3


def _in_time(module: nn.Module, rows: Tensor) -> Tensor:
    """Apply a module that wants `[batch, channels, n]` to rows `[batch, n, channels]`."""
    return cast(Tensor, module(rows.transpose(1, 2))).transpose(1, 2)


def _silent_padding(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(~mask[:, :, None], 0.0)


class SubsamplingAdapter(nn.Module):
    """Halves the frame rate and projects to the language model's width."""

    def __init__(self, config: AdapterConfig, output_size: int) -> None:
        super().__init__()
        self.config = config
        size, kernel = config.input_size, config.kernel_size
        if config.deep:
            self.conv1d1 = nn.Conv1d(size, 2 * size, kernel)
            self.bn1 = nn.BatchNorm1d(2 * size, eps=_EPS)
            size *= 2
        width = 2 * size
        self.conv1d2 = nn.Conv1d(size, width, kernel, stride=2)
        self.batch_norm = config.deep or config.norm == "batch"
        self.gelu = config.activation == "gelu" and not config.deep
        if self.batch_norm:
            self.bn2: nn.Module = nn.BatchNorm1d(width, eps=_EPS)
        else:
            self.bn2 = nn.LayerNorm(width, eps=_EPS)
        self.project = nn.Linear(width, output_size)

    @property
    def reach(self) -> int:
        """Rows each convolution sees beside the current one."""
        return self.config.kernel_size - 1

    def enter(self, padded: Tensor) -> Tensor:
        """The convolution in front of a deep adapter: rows with `reach` more before them, to rows."""
        return F.relu(_in_time(self.bn1, _in_time(self.conv1d1, padded)))

    def reduce(self, padded: Tensor) -> Tensor:
        """Rows `[batch, n, width]`, padding included, to `[batch, m, output_size]`."""
        rows = _in_time(self.conv1d2, padded)
        rows = _in_time(self.bn2, rows) if self.batch_norm else self.bn2(rows)
        return cast(Tensor, self.project(F.gelu(rows) if self.gelu else F.relu(rows)))

    @override
    def forward(self, hidden: Tensor, mask: Tensor) -> Encoded:
        """`[batch, frames, input_size]` to `[batch, ceil(frames / 2), output_size]` and its mask."""
        rows = _silent_padding(hidden, mask)
        if self.config.deep:
            rows = self.enter(F.pad(rows, (0, 0, self.reach, 0)))
        sides = (0, self.reach) if self.config.padding == "right" else (self.reach, 0)
        return Encoded(self.reduce(F.pad(rows, (0, 0, *sides))), mask[:, ::2])


class CnnAdapter(nn.Module):
    """Keeps the frame rate: two causal convolutions, then the projection."""

    def __init__(self, config: CnnAdapterConfig, output_size: int) -> None:
        super().__init__()
        size, kernel = config.input_size, config.kernel_size
        self.reach = kernel - 1
        self.conv1d1 = nn.Conv1d(size, 2 * size, kernel)
        self.bn1 = nn.BatchNorm1d(2 * size, eps=_EPS)
        self.conv1d2 = nn.Conv1d(2 * size, 4 * size, kernel)
        self.bn2 = nn.BatchNorm1d(4 * size, eps=_EPS)
        self.project = nn.Linear(4 * size, output_size)

    @override
    def forward(self, hidden: Tensor, mask: Tensor) -> Encoded:
        """`[batch, frames, input_size]` to `[batch, frames, output_size]` and the same mask."""
        maps = _silent_padding(hidden, mask).transpose(1, 2)
        for convolution, norm in ((self.conv1d1, self.bn1), (self.conv1d2, self.bn2)):
            maps = F.relu(norm(convolution(F.pad(maps, (self.reach, 0)))))
        return Encoded(self.project(maps.transpose(1, 2)), mask)


class LinearAdapter(nn.Module):
    """Keeps the frame rate and looks at single frames."""

    def __init__(self, config: LinearAdapterConfig, output_size: int) -> None:
        super().__init__()
        self.adpter = nn.Linear(config.input_size, output_size)  # the published spelling

    @override
    def forward(self, hidden: Tensor, mask: Tensor) -> Encoded:
        """`[batch, frames, input_size]` to `[batch, frames, output_size]` and the same mask."""
        return Encoded(self.adpter(hidden), mask)
