"""The small model's eye: InternViT's structure at 64 x 64, projected onto the language model."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vita_model.config import VisionConfig
from vita_model.vision.encoder import VisionTower
from vita_model.vision.projector import build_projector


class Eye(nn.Module):
    """Vision tower and projector."""

    def __init__(self, config: VisionConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.vision_tower = VisionTower(config)
        self.projector = build_projector(config, width)

    def rows(self, pixels: Tensor) -> Tensor:
        """`[batch, 3, size, size]` to `[batch, rows, width]`, rows for the language model."""
        rows: Tensor = self.projector(self.vision_tower(pixels))
        return rows


def pixels(pictures: list[Image.Image], size: int) -> Tensor:
    """Pictures of any size to a normalised batch, `[n, 3, size, size]`."""
    square = [p.convert("RGB").resize((size, size), Image.Resampling.BICUBIC) for p in pictures]
    stack = torch.from_numpy(np.stack([np.asarray(p, np.float32) for p in square])) / 255
    return ((stack - 0.5) / 0.25).permute(0, 3, 1, 2).contiguous()
