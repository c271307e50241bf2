"""How fast the parts of VITA-1.5 are at their real size, in every mode side by side.

One thread. All modes of a part take turns within each round, and the machine's own limits are
measured at the beginning of each round, so that whatever else the machine does meets all of them.
The figure is the median of the process's CPU time; wall time stands beside it.
"""

from __future__ import annotations

import gc
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from vita_model.bench.parts import PARTS, REFERENCE, Part, Work
from vita_model.bench.roofline import BYTES, Limits, Spent, timed
from vita_model.config import VitaConfig
from vita_model.packed import FORMS, Form

TOLERANCE = 0.02
"""Largest error of an output (root mean square over that of float32) that counts as the same."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one mode of one part.

    Attributes:
        part: The part's name.
        work: What one call does.
        mode: The mode's name.
        cpu: Median seconds of CPU time of a call.
        wall: Median seconds by the clock.
        speed: The same in the part's own measure.
        ratio: How many times faster than the baseline, by CPU time.
        error: Root mean square of the difference from the baseline's output over that of the output.
        roofline: Share of the machine's limit that is reached: arithmetic and memory, whichever
            binds, both measured in the same run.
    """

    part: str
    work: str
    mode: str
    cpu: float
    wall: float
    speed: str
    ratio: float
    error: float
    roofline: float

    @property
    def within(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a run, and the limits of the machine: bytes and operations a second."""

    rows: list[Row]
    memory: float
    operations: dict[str, float]


def measure(
    names: Iterable[str] = tuple(PARTS),
    *,
    config: VitaConfig | None = None,
    work: Work | None = None,
    forms: Sequence[Form] = FORMS,
    repeats: int = 5,
    device: torch.device | None = None,
    limits: Limits | None = None,
    step: Callable[[str], object] = lambda _: None,
) -> Table:
    """Time parts in all their modes, one part after another.

    Args:
        names: From `PARTS`.
        config: Sizes; None takes those of VITA-1.5.
        work: How much a call does.
        forms: Modes besides the baseline.
        repeats: Timed calls of each mode, after one that is not counted.
        device: Where; None is the CPU.
        limits: Of that device, if they are to be measured in another size.
        step: Told what comes next, once for each call.
    """
    place = device or torch.device("cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            limits = limits or Limits(place, tuple(forms))
            rows: list[Row] = []
            for name in names:
                part = PARTS[name](config or VitaConfig(), work or Work(), list(forms), place)
                rows += _rows(part, limits, repeats, place, step)
                del part
                gc.collect()  # a real size takes gigabytes
    finally:
        torch.set_num_threads(threads)
    return Table(rows, limits.memory, {form: limits.operations(form) for form in forms})


def calls(names: Iterable[str], forms: Sequence[Form], repeats: int) -> int:
    """How often `measure` calls `step`."""
    modes = sum(
        1 + len([form for form in forms if name != "codec" or form != "int8"]) for name in names
    )
    return modes * (repeats + 1)


def _rows(
    part: Part,
    limits: Limits,
    repeats: int,
    device: torch.device,
    step: Callable[[str], object],
) -> list[Row]:
    outputs: list[Tensor] = []
    spent: dict[str, list[Spent]] = {mode.name: [] for mode in part.modes}
    for mode in part.modes:
        step(f"{part.name}, {mode.name}: first call")
        outputs.append(mode.output().float())
        mode.run()
    for _ in range(repeats):
        limits.measure()
        for mode in part.modes:
            step(f"{part.name}, {mode.name}")
            spent[mode.name].append(timed(mode.run, device))
    exact = outputs[0]
    base = statistics.median(each.cpu for each in spent[REFERENCE])
    rows = []
    for mode, output in zip(part.modes, outputs, strict=True):
        cpu = statistics.median(each.cpu for each in spent[mode.name])
        wall = statistics.median(each.wall for each in spent[mode.name])
        error = float((output - exact).norm() / exact.norm())
        best = part.operations / limits.operations(mode.form)
        best += part.read * BYTES[mode.form] / limits.memory
        rows.append(
            Row(
                part=part.name,
                work=part.work,
                mode=mode.name,
                cpu=cpu,
                wall=wall,
                speed=part.speed(cpu),
                ratio=base / cpu,
                error=error,
                roofline=best / cpu,
            )
        )
    return rows


def as_json(table: Table) -> str:
    """The table for programs."""
    return json.dumps(asdict(table) | {"tolerance": TOLERANCE}, indent=2)


def as_markdown(table: Table) -> str:
    """The table for a document."""
    lines = [
        "| part | mode | CPU | wall | speed | against the baseline | error | of the machine's limit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.rows:
        note = "" if row.within else " (beyond the tolerance)"
        lines.append(
            f"| {row.part} | {row.mode} | {row.cpu:.3f} s | {row.wall:.3f} s | {row.speed} "
            f"| {row.ratio:.2f} x | {row.error:.2%}{note} | {row.roofline:.0%} |"
        )
    rates = ", ".join(f"{name} {rate / 1e9:.0f} G/s" for name, rate in table.operations.items())
    lines.append(f"\nLimits in the same run: memory {table.memory / 1e9:.1f} GB/s; {rates}.")
    return "\n".join(lines)
