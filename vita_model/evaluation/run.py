"""Asks a model the items of suites and keeps the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vita_model.engine.voice import VoiceModel
from vita_model.evaluation.store import Run
from vita_model.evaluation.suite import Shelf, Suite


@dataclass(frozen=True, slots=True)
class Step:
    """How far one suite is."""

    suite: str
    done: int
    of: int


async def ask_all(
    model: VoiceModel,
    suites: Sequence[Suite[Any]],
    run: Run,
    count: int | None,
    report: Callable[[Step], None] = lambda _: None,
    *,
    small: bool = False,
    clips: Path | None = None,
) -> None:
    """Ask every item that has no row yet, suite by suite.

    Args:
        model: Whom to ask.
        suites: What.
        run: Where rows are kept.
        count: Items of each suite at most.
        report: Told how far a suite is.
        small: Only the items of a first look.
        clips: Where voices that were read are kept for other runs.
    """
    for suite in suites:
        known = {row.key for row in run.rows(suite.name)}
        limits = [limit for limit in (count, suite.small if small else None) if limit is not None]
        items = suite.items(min(limits, default=None))
        shelf = Shelf(run.folder, suite.name, clips)
        for number, item in enumerate(items):
            report(Step(suite.name, number, len(items)))
            if item.key not in known:
                run.add(suite.name, await suite.run(model, item, shelf))
        report(Step(suite.name, len(items), len(items)))
