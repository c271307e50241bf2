"""Progress bars of a training: one a stage, with loss, rate and the time that is left."""

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

from vita_model.training.recipe import Stage
from vita_model.training.tiny_recipe import TinyStage
from vita_model.training.trainer import Report


@contextmanager
def showing(*, visible: bool = True) -> Iterator[Callable[[Stage | TinyStage, Report], None]]:
    """A function to hand every report to."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  rate {task.fields[rate]:.2e}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, disable=not visible) as progress:

        def report(stage: Stage | TinyStage, step: Report) -> None:
            if stage.id not in bars:
                bars[stage.id] = progress.add_task(
                    f"{stage.id} {stage.title}", total=step.steps, loss=0.0, rate=0.0
                )
            loss = step.losses.get("loss", 0.0)
            progress.update(bars[stage.id], completed=step.step, loss=loss, rate=step.rate)

        yield report
