"""Bars for a terminal while a model is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vita_model.evaluation.run import Step


@contextmanager
def showing() -> Iterator[Callable[[Step], None]]:
    """One bar a suite; takes steps as they are done."""
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: Step) -> None:
            if step.suite not in tasks:
                tasks[step.suite] = bars.add_task(step.suite, total=step.of)
            bars.update(tasks[step.suite], completed=step.done)

        yield show
