"""Tables and picture of `vita bench server`."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from vita_model.bench.found import AT_ONCE, CONVERSING, OPEN, Found

_BLUE, _PALE, _SAND, _GREY = "#2f6fde", "#cfd8e3", "#d9a066", "#8a97a6"


def as_markdown(found: Found) -> str:
    """The tables for a document."""
    tables = [_latencies(found), _levels(found), _cuts(found)]
    return "\n\n".join("\n".join(lines) for lines in tables if lines)


def _latencies(found: Found) -> list[str]:
    if not found.latencies:
        return []
    lines = [
        "| cores | turn | answers | first sound p50 | p95 | CPU p50 |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.cores} | {row.case} | {row.turns} | {row.p50:.0f} ms | {row.p95:.0f} ms "
        f"| {row.cpu:.0f} ms |"
        for row in found.latencies
    ]
    for cores in sorted({row.cores for row in found.latencies}):
        if (ratio := found.ratio(cores)) is not None:
            lines += ["", f"Long over short on {cores} core(s): {ratio:.2f}."]
    return lines


def _levels(found: Found) -> list[str]:
    if not found.levels:
        return []
    lines = [
        "| sessions | answers | first sound p50 | p95 | slowest, of real time | speech a second "
        "| of N times one | silence inside | cores |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.sessions} {row.way} | {row.answers} | {row.first:.0f} ms | {row.first_p95:.0f} ms "
        f"| {row.real_time:.2f} x | {row.speed:.2f} s | {row.scaling:.2f} | {row.gaps:.1%} "
        f"| {row.cpu:.2f} |"
        for row in found.levels
    ]
    knees = " and ".join(f"{found.knee(way)} {way}" for way in (AT_ONCE, CONVERSING))
    return [*lines, "", f"Sessions heard without gaps: {knees}."]


def _cuts(found: Found) -> list[str]:
    if not found.cuts:
        return []
    lines = [
        "| interruption | other sessions | times | decision to last sound, median | most |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {cut.way} | {cut.beside} | {len(cut.times)} | {statistics.median(cut.times):.1f} ms "
        f"| {max(cut.times):.1f} ms |"
        for cut in found.cuts
        if cut.times
    ]
    return lines


def draw(found: Found, path: Path) -> None:
    """Write a PNG: first sound by case, speech made and first sound by sessions at once."""
    mpl.use("Agg")
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.4), layout="constrained")
    _draw_latencies(found, left)
    _draw_levels(found, middle, right)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.14),
                ncols=2,
                frameon=False,
                fontsize=8,
            )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_latencies(found: Found, axes: Axes) -> None:
    rows = [row for row in found.latencies if row.case != OPEN]
    places = list(range(len(rows)))
    axes.barh(places, [row.p95 for row in rows], color=_PALE, label="p95")
    axes.barh(places, [row.p50 for row in rows], color=_BLUE, label="p50")
    axes.barh(places, [row.cpu for row in rows], 0.25, color=_SAND, label="CPU time, p50")
    axes.set_yticks(places, [f"{row.case}, {row.cores} core(s)" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_title("First sound after the turn's end, ms", loc="left", fontsize=11)


def _draw_levels(found: Found, speed: Axes, first: Axes) -> None:
    counts = sorted({row.sessions for row in found.levels})
    for way, colour in ((AT_ONCE, _SAND), (CONVERSING, _BLUE)):
        rows = [row for row in found.levels if row.way == way]
        sessions = [row.sessions for row in rows]
        speed.plot(sessions, [row.speed for row in rows], "o-", color=colour, label=way)
        first.plot(sessions, [row.first for row in rows], "o-", color=colour, label=f"{way}, p50")
        first.plot(sessions, [row.first_p95 for row in rows], "--", color=colour, label="p95")
    talking = [row for row in found.levels if row.way == CONVERSING]
    if talking:
        ideal = [talking[0].speed / talking[0].sessions * count for count in counts]
        speed.plot(counts, ideal, "--", color=_GREY, label="N times one in conversation")
    speed.set_title("Seconds of speech in a second, all sessions", loc="left", fontsize=11)
    first.set_title("First sound by sessions at once, ms", loc="left", fontsize=11)
    for axes in (speed, first):
        axes.set_xticks(counts)
        axes.set_xlabel("sessions at once", fontsize=9)
        axes.set_ylim(bottom=0)
