"""Puts our figures into the tables of others, as a row of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from vita_model.evaluation.figures import Row

_MEANS = {
    "voicebench-ifeval": (
        "instructions kept, strict",
        "instructions kept, loose",
        "prompts kept, strict",
        "prompts kept, loose",
    )
}
"""Suites whose published figure is the mean of several measures."""


def with_ours(
    papers: Sequence[Mapping[str, Any]],
    model: str,
    measured: Mapping[str, tuple[str, Sequence[Row]]],
) -> list[Mapping[str, Any]]:
    """The tables, those with a suite that was run with one more row.

    Args:
        papers: Tables; `ours` gives the column of a suite, whose name may hold `*`.
        model: Name of the model for the row.
        measured: Name of the first measure, and the rows, by suite.
    """
    return [{**paper, "rows": [*paper["rows"], *_rows(paper, model, measured)]} for paper in papers]


def _rows(
    paper: Mapping[str, Any], model: str, measured: Mapping[str, tuple[str, Sequence[Row]]]
) -> list[list[str]]:
    cells: dict[str, str] = {}
    for pattern, column in paper.get("ours", {}).items():
        for suite, (first, rows) in measured.items():
            if fnmatch(suite, pattern):
                names = _MEANS.get(suite, (first,))
                value = sum(_overall(rows, name) for name in names) / len(names)
                cells[column] = f"{value:.1f}"
    if not cells:
        return []
    return [[f"{model} (ours, here)", *(cells.get(name, "–") for name in paper["columns"][1:])]]


def _overall(rows: Sequence[Row], name: str) -> float:
    """A measure over all groups, in %."""
    counts = [row.counts[name] for row in rows if name in row.counts]
    return 100 * sum(points for points, _ in counts) / max(sum(of for _, of in counts), 1e-9)
