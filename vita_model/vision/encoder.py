"""InternViT and the space-to-depth step behind it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN
from typing_extensions import override

from vita_model.config import VisionConfig

_FEATURE_SCALE = 0.5
"""The published weights were trained with features multiplied by one half."""


def _norm(config: VisionConfig) -> nn.Module:
    if config.norm == "layer_norm":
        return nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
    return nn.RMSNorm(config.hidden_size, eps=config.norm_eps)


class Embeddings(nn.Module):
    """Patches, a class row in front, learned positions."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.grid = config.image_size // config.patch_size
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embedding = nn.Conv2d(
            config.channels, width, config.patch_size, stride=config.patch_size
        )
        self.position_embedding = nn.Parameter(torch.zeros(1, self.grid**2 + 1, width))

    def _positions(self, rows: int, columns: int) -> Tensor:
        table = self.position_embedding
        if (rows, columns) == (self.grid, self.grid):
            return table
        square = table[:, 1:].float().unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        resized = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2).to(table)], dim=1)

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """`[batch, channels, height, width]` to `[batch, patches + 1, hidden]`."""
        maps = self.patch_embedding(pixels)
        first = self.class_embedding.expand(maps.shape[0], -1, -1)
        rows = torch.cat([first, maps.flatten(2).transpose(1, 2)], dim=1)
        return rows + self._positions(maps.shape[2], maps.shape[3])


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without a mask, all `[batch, heads, n, width]`.

    torch's fused attention takes half as long again in bfloat16 on a CPU as three plain steps do.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or query.requires_grad:
        return F.scaled_dot_product_attention(query, key, value)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    return scores.softmax(dim=-1) @ value


class Attention(nn.Module):
    """Multi-head self-attention; query and key may be normed over the whole width."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.heads
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias)
        self.proj = nn.Linear(width, width)
        if config.qk_norm:
            self.q_norm: nn.Module = nn.RMSNorm(width, eps=config.norm_eps)
            self.k_norm: nn.Module = nn.RMSNorm(width, eps=config.norm_eps)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, n, hidden]` to the same."""
        query, key, value = self.qkv(rows).chunk(3, dim=-1)
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.q_norm(query), self.k_norm(key), value)
        )
        mixed = _attend(query, key, value)
        return cast(Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))


class Mlp(nn.Module):
    """Two linear layers with an activation between; VITA-1.5's is exact GELU."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act: nn.Module = ACT2FN[config.activation]

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[..., width]` to the same."""
        return cast(Tensor, self.fc2(self.act(self.fc1(rows))))


class Layer(nn.Module):
    """A pre-norm layer whose two branches are scaled per channel."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = _norm(config)
        self.norm2 = _norm(config)
        self.attn = Attention(config)
        self.mlp = Mlp(config)
        self.ls1 = nn.Parameter(torch.full((config.hidden_size,), config.layer_scale))
        self.ls2 = nn.Parameter(torch.full((config.hidden_size,), config.layer_scale))

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, n, hidden]` to the same."""
        rows = rows + self.ls1 * self.attn(self.norm1(rows))
        return cast(Tensor, rows + self.ls2 * self.mlp(self.norm2(rows)))


class Layers(nn.Module):
    """The stack of layers under its published name."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def states(self, rows: Tensor) -> Iterator[Tensor]:
        """What enters the first layer, then what leaves each one, all `[batch, n, hidden]`."""
        yield rows
        for layer in self.layers:
            rows = layer(rows)
            yield rows


class InternVit(nn.Module):
    """The vision transformer; no closing norm, no pooling."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.selected = range(config.layers + 1)[config.select_layer]

    def states(self, pixels: Tensor) -> Iterator[Tensor]:
        """See `Layers.states`; pixels are `[batch, channels, height, width]`."""
        return self.encoder.states(self.embeddings(pixels))

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """The selected state, `[batch, patches + 1, hidden]`."""
        return next(islice(self.states(pixels), self.selected, None))


def space_to_depth(rows: Tensor) -> Tensor:
    """Join each 2x2 block of a square grid: `[batch, n * n, c]` to `[batch, n * n / 4, 4 * c]`.

    The four neighbours follow each other row by row in the new channels.
    """
    half = round(rows.shape[1] ** 0.5) // 2
    if rows.shape[1] != (2 * half) ** 2:
        raise ValueError(f"{rows.shape[1]} patches are no square with sides of an even length")
    blocks = rows.unflatten(1, (half, 2, half, 2)).permute(0, 1, 3, 2, 4, 5)
    return cast(Tensor, blocks.flatten(3).flatten(1, 2))


class VisionTower(nn.Module):
    """Tiles to the rows the projector takes."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.vision_tower = InternVit(config)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        kind: torch.dtype = self.vision_tower.embeddings.class_embedding.dtype
        return kind

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """`[tiles, channels, size, size]` to `[tiles, rows, 4 * hidden]`; the class row is dropped."""
        rows = cast(Tensor, self.vision_tower(pixels))
        return space_to_depth(rows[:, 1:] * _FEATURE_SCALE)
