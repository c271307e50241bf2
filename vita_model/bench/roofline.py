"""What a machine can do at best, measured beside what is measured.

Products of large square matrices give the arithmetic limit of each type, one pass over an array far
larger than any cache the limit of memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vita_model.packed import Form, pack_int8, times_int8

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
    """Measured again and again; each limit is the median.

    Attributes:
        device: What is measured.
        size: Rows and columns of the matrices.
        elements: float32 numbers of the array.
    """

    device: torch.device
    forms: tuple[Form, ...]
    size: int = 1536
    elements: int = 48 * 2**20
    _runs: dict[str, tuple[Callable[[], object], float]] = field(init=False)
    _rates: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        array = torch.ones(self.elements, device=self.device)
        self._runs = {"memory": (array.sum, 4.0 * self.elements)}
        for form in self.forms:
            self._runs[form] = (self._product(form), 2.0 * self.size**3)
        self._rates = {name: [] for name in self._runs}
        for _ in range(_WARM):
            for run, _ in self._runs.values():
                run()

    def _product(self, form: Form) -> Callable[[], Tensor]:
        rows = torch.randn(self.size, self.size, device=self.device)
        if form == "int8":
            packed = pack_int8(rows)
            return lambda: times_int8(packed, rows)
        rows = rows.to(getattr(torch, form))
        return lambda: rows @ rows

    def measure(self) -> None:
        """Take every limit once more."""
        for name, (run, amount) in self._runs.items():
            self._rates[name].append(amount / max(timed(run, self.device).cpu, 1e-9))

    def operations(self, form: Form) -> float:
        """Floating-point (or integer) operations a second."""
        return statistics.median(self._rates[form])

    @property
    def memory(self) -> float:
        """Bytes a second."""
        return statistics.median(self._rates["memory"])
