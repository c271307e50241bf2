"""Plots of the report: every figure with its interval, and its bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from vita_model.evaluation.figures import Figure

_REACHED, _MISSED, _NEITHER = "#1a7f5a", "#c0392b", "#5b6b7b"


def draw(file: Path, title: str, found: Sequence[Figure]) -> Path:
    """Draws the figures that are shares, one line each, into an SVG; without any, those of the first unit."""
    units = [figure.unit for figure in found]
    unit = "%" if "%" in units else units[0]
    shares = [figure for figure in found if figure.unit == unit]
    canvas = Canvas(figsize=(8.2, 0.9 + 0.36 * len(shares)), layout="constrained")
    axes = canvas.add_subplot()
    for place, figure in enumerate(reversed(shares)):
        colour = {True: _REACHED, False: _MISSED, None: _NEITHER}[figure.met]
        axes.plot([figure.low, figure.high], [place, place], color=colour, lw=2.4, alpha=0.6)
        axes.plot([figure.value], [place], "o", color=colour, ms=6)
        if figure.bar is not None:
            axes.plot([figure.bar] * 2, [place - 0.34, place + 0.34], color="#222", lw=1.6)
    names = [f"{figure.measure} · {figure.group}" for figure in reversed(shares)]
    axes.set_yticks(range(len(shares)), names, fontsize=9)
    axes.set_xlabel(f"{shares[0].unit}, with 95 % intervals; black marks are bars", fontsize=9)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if shares[0].unit == "%" and all(figure.low >= 0 for figure in shares):
        axes.set_xlim(-1, max(101.0, *(1.02 * figure.high for figure in shares)))
    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        canvas.savefig(file, metadata={"Date": None})
    return file
