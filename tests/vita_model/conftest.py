from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Case:
    """One folder of reference tensors."""

    config: dict[str, Any]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    weights: Path

    def agrees(self, name: str, found: Tensor) -> bool:
        wanted = self.outputs[name]
        assert found.shape == wanted.shape, name
        if not wanted.is_floating_point():
            return torch.equal(found.to(wanted.dtype), wanted)
        return bool((found - wanted).abs().max() <= 1e-4)


@pytest.fixture
def golden() -> Callable[[str], Case]:
    def load(name: str) -> Case:
        folder = GOLDEN / name
        return Case(
            config=json.loads((folder / "config.json").read_text()),
            inputs=load_file(folder / "inputs.safetensors"),
            outputs=load_file(folder / "outputs.safetensors"),
            weights=folder / "weights.safetensors",
        )

    return load


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.no_grad():
        yield
