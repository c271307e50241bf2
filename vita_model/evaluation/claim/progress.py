"""A bar for each stage of the claim's arms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from vita_model.evaluation.claim.run import Doing


@contextmanager
def showing() -> Iterator[Callable[[Doing], None]]:
    """Takes steps as they are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns) as bars:
        tasks: dict[tuple[int, str], TaskID] = {}

        def show(doing: Doing) -> None:
            key = (doing.seed, doing.stage)
            if key not in tasks:
                name = f"seed {doing.seed}, {doing.arm}: {doing.stage}"
                tasks[key] = bars.add_task(name, total=doing.steps)
            bars.update(tasks[key], completed=doing.step)

        yield show
