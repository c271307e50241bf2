"""InternViT, space-to-depth and projector."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from vita_model import published
from vita_model.checkpoint import load_checkpoint
from vita_model.golden.case import Case, Found
from vita_model.vision.encoder import VisionTower
from vita_model.vision.projector import build_projector


def check(case: Case) -> Iterator[Found]:
    """All hidden states, the selected features, tower and projector."""
    data = case.config
    published.check_tower(data)
    config = published.vision_config(
        data["vision"], data["mm_projector_type"], data.get("select_layer", -1)
    )
    tower = VisionTower(config)
    projector = build_projector(config, data["llm_hidden_size"])
    load_checkpoint(nn.ModuleDict({"vision_tower": tower, "mm_projector": projector}), case.weights)
    pixels = case.inputs["pixel_values"]
    states = list(tower.vision_tower.states(pixels))
    for number, state in enumerate(states):
        yield Found(f"hidden_states.{number}", state)
    yield Found("last_hidden_state", states[-1])
    yield Found("pooler_output", states[-1][:, 0])
    yield Found("selected_features", states[tower.vision_tower.selected][:, 1:])
    rows = tower(pixels)
    yield Found("tower_output", rows)
    yield Found("projector_output", projector(rows))
