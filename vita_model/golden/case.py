"""One folder of reference tensors, and the verdict on it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vita_model.checkpoint import CheckpointError

BAR = 1e-4
"""Largest difference allowed between floating-point tensors; integers must be equal."""

_NOTES = ("min_", "max_")
"""Outputs that begin so tell how much room the case itself has; they are no results."""


class Found(NamedTuple):
    """What a module computed: name of the output, value, and where it counts (None: everywhere)."""

    name: str
    value: Tensor
    where: Tensor | None = None


@dataclass(frozen=True)
class Case:
    """A folder with `config.json`, `inputs`, `outputs` and mostly `weights` as safetensors."""

    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def weights(self) -> Path:
        """The checkpoint of the case."""
        return self.folder / "weights.safetensors"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration the reference was built from.

        Raises:
            CheckpointError: The file is unreadable.
        """
        path = self.folder / "config.json"
        try:
            config = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        if not isinstance(config, dict):
            raise CheckpointError(f"{path} holds no mapping")
        return config

    @property
    def component(self) -> str:
        """What the case is about."""
        return str(self.config.get("component"))

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Tensors the reference was given."""
        return self._tensors("inputs")

    @cached_property
    def outputs(self) -> dict[str, Tensor]:
        """Tensors the reference computed."""
        return self._tensors("outputs")

    def _tensors(self, kind: str) -> dict[str, Tensor]:
        path = self.folder / f"{kind}.safetensors"
        try:
            return dict(load_file(path))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one case.

    Attributes:
        case: Its name.
        component: What it is about.
        difference: The largest one between floating-point tensors; None when none were compared.
        compared: How many outputs were compared.
        failures: What does not agree; none when the case passes.
    """

    case: str
    component: str
    difference: float | None
    compared: int
    failures: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether everything agrees."""
        return not self.failures


def _difference(found: Tensor, wanted: Tensor, where: Tensor | None) -> float:
    if where is not None:
        wide = where.reshape(*where.shape, *(1,) * (found.ndim - where.ndim)).bool()
        found, wanted = (part.masked_fill(~wide, 0) for part in (found, wanted))
    if not found.numel():
        return 0.0
    largest = (found.double() - wanted.double()).abs().max().item()
    return float("inf") if math.isnan(largest) else largest  # NaN agrees with nothing


def judge(case: Case, found: list[Found]) -> Outcome:
    """Compare what was computed with the outputs of a case."""
    wanted = dict(case.outputs)
    largest: float | None = None
    failures, compared = [], 0
    for name, value, where in found:
        target = wanted.pop(name, None)
        if target is None:
            continue
        compared += 1
        if value.shape != target.shape:
            failures.append(f"{name} is {tuple(value.shape)}, not {tuple(target.shape)}")
            continue
        difference = _difference(value, target, where)
        if target.is_floating_point():
            largest = max(largest or 0.0, difference)
            if difference > BAR:
                failures.append(f"{name} differs by {difference:.1e}")
        elif difference:
            failures.append(f"{name} is not equal")
    left = [name for name in wanted if not name.startswith(_NOTES)]
    if left:
        failures.append("not computed: " + ", ".join(sorted(left)))
    return Outcome(case.name, case.component, largest, compared, tuple(failures))


def mask_of(tensors: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    """A mask among the inputs as booleans; all true when the case has none."""
    mask = tensors.get(name)
    return torch.ones_like(like, dtype=torch.bool) if mask is None else mask.bool()
