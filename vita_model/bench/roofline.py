"""What a machine can do at best, measured beside what is measured.

Products of large square matrices give the arithmetic limit of each type, one pass over an array far
larger than any cache the limit of memory. Where there are several ways, the fastest counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from vita_model.packed import Form, form_type, pack

BYTES: dict[Form, int] = {"float32": 4, "bfloat16": 2, "int8": 1}
"""Bytes a weight takes."""

_WARM = 2


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one call by the clock and of the process."""

    wall: float
    cpu: float


def timed(run: Callable[[], object], device: torch.device) -> Spent:
    """Time one call; on a GPU both figures are wall time, with all work finished."""
    if device.type != "cpu":
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if device.type != "cpu":
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Spent(wall, cpu if device.type == "cpu" else wall)


@dataclass(slots=True)
class Limits:
    """Measured again and again; each limit is the median, over rounds, of the fastest way.

    Attributes:
        device: What is measured.
        size: Rows and columns of the matrices.
        elements: float32 numbers of the array.
    """

    device: torch.device
    forms: tuple[Form, ...]
    size: int = 2048
    elements: int = 48 * 2**20
    _ways: dict[str, list[Callable[[], object]]] = field(init=False)
    _rates: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        array = torch.ones(self.elements, device=self.device)
        self._ways = {"memory": [array.sum, array.max, lambda: torch.dot(array, array)]}
        self._ways |= {form: self._products(form) for form in self.forms}
        self._rates = {name: [] for name in self._ways}
        for _ in range(_WARM):
            for ways in self._ways.values():
                for way in ways:
                    way()

    def _products(self, form: Form) -> list[Callable[[], object]]:
        square = torch.randn(self.size, self.size, device=self.device)
        rows = square.to(form_type(form))
        ways: list[Callable[[], object]] = [] if form == "int8" else [lambda: rows @ rows]
        if self.device.type == "cpu":
            layer = nn.Sequential(nn.Linear(self.size, self.size, bias=False))
            pack(layer, form)
            ways.append(lambda: layer(rows))
        return ways

    def measure(self) -> None:
        """Take every limit once more."""
        for name, ways in self._ways.items():
            amount = 4.0 * self.elements if name == "memory" else 2.0 * self.size**3
            least = min(timed(way, self.device).cpu for way in ways)
            self._rates[name].append(amount / max(least, 1e-9))

    def operations(self, form: Form) -> float:
        """Floating-point (or integer) operations a second."""
        return statistics.median(self._rates[form])

    @property
    def memory(self) -> float:
        """Bytes a second."""
        return statistics.median(self._rates["memory"])
