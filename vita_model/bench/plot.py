"""Draws the figures of `vita bench model`."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from vita_model.bench.modules import Table

_COLOURS = ["#8a97a6", "#9cc0f7", "#2f6fde", "#d9a066"]


def draw(table: Table, path: Path) -> None:
    """Write a PNG: how many times faster than the baseline, and the share of the machine's limit."""
    mpl.use("Agg")
    figure, both = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    parts = list(dict.fromkeys(row.part for row in table.rows))
    modes = list(dict.fromkeys(row.mode for row in table.rows))
    width = 0.8 / len(modes)
    for number, mode in enumerate(modes):
        rows = [row for row in table.rows if row.mode == mode]
        places = [parts.index(row.part) + (number - (len(modes) - 1) / 2) * width for row in rows]
        values = ([row.ratio for row in rows], [row.roofline * 100 for row in rows])
        for axes, heights in zip(both, values, strict=True):
            bars = axes.bar(places, heights, width, label=mode, color=_COLOURS[number % 4])
            for bar, row in zip(bars, rows, strict=True):
                bar.set_hatch("" if row.within else "//")
            axes.bar_label(bars, fmt="%.1f" if axes is both[0] else "%.0f", fontsize=8)
    both[1].axhline(60, color="#b25a00", linewidth=1)
    titles = ("Times as fast as the baseline", "Share of the machine's limit, %")
    for axes, title in zip(both, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xticks(range(len(parts)), parts)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        axes.margins(y=0.25)
    figure.savefig(path, dpi=110)
    plt.close(figure)
