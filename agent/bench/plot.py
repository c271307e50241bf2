"""Draws the figures of `vita bench agent`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from agent.bench.run import Level

CORES_TARGET = 0.03
OVERHEAD_TARGET_MS = 60.0

_COLOURS = {"agent": "#2f6fde", "bare Pipecat echo": "#8a97a6"}


def draw(levels: Sequence[Level], path: Path) -> None:
    """Write a PNG: cores per call, overhead per turn and missed frames over the number of calls."""
    mpl.use("Agg")
    figure, (cores, overhead, missed) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for what, colour in _COLOURS.items():
        own = [level for level in levels if level.what == what]
        x = [level.calls for level in own]
        style = {"color": colour, "marker": "o", "label": what}
        cores.plot(x, [level.cpu_per_call for level in own], **style)
        missed.plot(x, [level.missed_share * 100 for level in own], **style)
        if what == "agent":
            overhead.plot(x, [level.overhead_p50_ms for level in own], **style | {"label": "p50"})
            p95 = style | {"label": "p95", "linestyle": "--"}
            overhead.plot(x, [level.overhead_p95_ms for level in own], **p95)
    cores.axhline(CORES_TARGET, color="#b25a00", linewidth=1, label="target")
    overhead.axhline(OVERHEAD_TARGET_MS, color="#b25a00", linewidth=1, label="target")
    missed.axhline(0.1, color="#b25a00", linewidth=1, label="target")
    titles = {cores: "Cores per call", overhead: "Own time per turn, ms", missed: "Frames late, %"}
    for axes, title in titles.items():
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("calls at a time")
        axes.set_ylim(bottom=0)
        axes.grid(color="#e6eaef")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
