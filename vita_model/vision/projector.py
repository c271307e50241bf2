"""From the vision tower's width to the language model's."""

from __future__ import annotations

from torch import nn

from vita_model.config import VisionConfig


def build_projector(config: VisionConfig, output_size: int) -> nn.Module:
    """`[..., 4 * hidden_size]` to `[..., output_size]`: linear layers with GELU between, or one."""
    layers: list[nn.Module] = [nn.Linear(4 * config.hidden_size, output_size)]
    if config.projector == "linear":
        return layers[0]
    for _ in range(config.projector_layers - 1):
        layers += [nn.GELU(), nn.Linear(output_size, output_size)]
    return nn.Sequential(*layers)
