"""`vita train`: run a recipe, or see what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vita_model.training.recipe import Recipe

EXIT_CANNOT = 2
EXIT_STOPPED = 130
TINY_SAVE_EVERY = 50
"""Longest wait for a saved state of vita-tiny, in steps: its language steps take five seconds."""

app = typer.Typer()


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    *,
    stage: Annotated[
        list[str] | None, typer.Option(help="Only this stage; may be repeated.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for states and checkpoints.", show_default="var/train/NAME"),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on where it was stopped.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say what it takes.")] = False,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saved states.")] = 500,
    own: Annotated[
        Path | None, typer.Option(help="vita-tiny: a business's own facts, tools and phrases.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="vita-tiny: weights to begin with instead of the shipped.")
    ] = None,
) -> None:
    """Train a model stage by stage. Ctrl-C saves the state; --resume goes on from it."""
    from vita_model.training.recipe import RecipeError, find_recipe, read_recipe
    from vita_model.training.tiny_recipe import is_tiny

    try:
        path = find_recipe(recipe)
        if is_tiny(path):
            _train_tiny(
                path, work, stage, own, checkpoint,
                resume=resume, dry_run=dry_run, save_every=min(save_every, TINY_SAVE_EVERY),
            )  # fmt: skip
            return
        if own or checkpoint:
            raise _end("--own and --checkpoint are for recipes of vita-tiny.")
        found = read_recipe(path)
        for name in stage or ():
            found.stage(name)
    except RecipeError as error:
        raise _end(str(error)) from None
    if dry_run:
        _show_plan(found)
        return
    from accelerate import PartialState

    from vita_model.checkpoint import CheckpointError
    from vita_model.training.conversations import DatasetError
    from vita_model.training.parts import MissingPartError
    from vita_model.training.progress import showing
    from vita_model.training.run import run_recipe
    from vita_model.training.tasks.task import TaskError
    from vita_model.training.trainer import TrainingError

    folder = work or Path("var/train") / found.name
    try:
        with showing(visible=PartialState().is_main_process) as report:
            made = run_recipe(
                found, folder, stages=stage, resume=resume, save_every=save_every, report=report
            )
    except (
        RecipeError,
        CheckpointError,
        DatasetError,
        TaskError,
        MissingPartError,
        TrainingError,
    ) as error:
        raise _end(f"Training cannot go on: {error}") from None
    for one in made:
        if one.checkpoint is None:
            typer.echo(f"Stage {one.stage} was stopped after step {one.step}; --resume goes on.")
            raise typer.Exit(EXIT_STOPPED)
        typer.echo(f"Stage {one.stage} is done: {one.checkpoint}")


def _train_tiny(
    path: Path,
    work: Path | None,
    stages: list[str] | None,
    own_file: Path | None,
    checkpoint: Path | None,
    *,
    resume: bool,
    dry_run: bool,
    save_every: int,
) -> None:
    from vita_model.backbone import BackboneMissingError
    from vita_model.tiny import FOLDER
    from vita_model.training.own import OwnError, read_own
    from vita_model.training.progress import showing
    from vita_model.training.recipe import RecipeError
    from vita_model.training.tiny_plan import table
    from vita_model.training.tiny_recipe import read_tiny
    from vita_model.training.tiny_run import Place, right_phrases, run_tiny
    from vita_model.training.trainer import TrainingError

    recipe = read_tiny(path)
    for name in stages or ():
        recipe.stage(name)
    try:
        own = read_own(own_file) if own_file else None
        place = Place(work or Path("var/train") / recipe.name, checkpoint or FOLDER, own)
        if dry_run:
            from rich.console import Console

            Console().print(table(recipe, place))
            return
        with showing() as report:
            made = run_tiny(
                recipe, place, stages=stages, resume=resume, save_every=save_every, report=report
            )
        if made is None:
            typer.echo("Training was stopped; --resume goes on.")
            raise typer.Exit(EXIT_STOPPED)
        if own is not None:
            for name, folder in (("before", place.checkpoint), ("now", made)):
                right, asked = right_phrases(own, folder)
                typer.echo(f"Your phrases answered word for word {name}: {right} of {asked}.")
    except (OwnError, RecipeError, BackboneMissingError, TrainingError) as error:
        raise _end(f"Training cannot go on: {error}") from None
    typer.echo(f"Done. Call it: vita model serve --checkpoint {made}")


def _show_plan(recipe: Recipe) -> None:
    from rich.console import Console

    from vita_model.checkpoint import CheckpointError
    from vita_model.training.parts import MissingPartError
    from vita_model.training.plan import disagreements, plan, table

    try:
        plans = plan(recipe)
    except (CheckpointError, MissingPartError) as error:
        raise _end(f"The model cannot be built: {error}") from None
    console = Console()
    console.print(table(recipe, plans))
    lines = disagreements(recipe)
    if lines:
        console.print("Where paper and published code disagree, or are silent:")
        for line in lines:
            console.print(f"  {line}")


def _end(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(EXIT_CANNOT)


if __name__ == "__main__":
    app(prog_name="vita train")
