"""From the vision tower's width to the language model's."""

from __future__ import annotations

from torch import nn

from vita_model.config import VisionConfig


def build_projector(config: VisionConfig, output_size: int) -> nn.Module:
    """`[..., 4 * hidden_size]` to `[..., output_size]`: two layers with GELU, or one."""
    width = 4 * config.hidden_size
    if config.projector == "linear":
        return nn.Linear(width, output_size)
    return nn.Sequential(
        nn.Linear(width, output_size), nn.GELU(), nn.Linear(output_size, output_size)
    )
