"""`vita data`: make the corpora that vita-tiny learns from, and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_CANNOT = 2
PLAN = [
    ("speaker-test", 1),
    ("speaker-train", 30),
    ("slt", 2),
    ("slt-babble", 2),
    ("joe-test", 1),
    ("kokoro-f", 1),
    ("kokoro-m", 1),
    ("kokoro", 4),
    ("train", 60),
]
"""Kind of shard and how many of them."""
Folder = Annotated[Path, typer.Option(help="Where the shards are.")]
FOLDER = Path("var/train/vita-tiny/data")

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make and check training data."""


@app.command()
def synth(
    *,
    folder: Folder = FOLDER,
    kind: Annotated[
        list[str] | None, typer.Option(help="KIND or KIND:SHARDS; may be repeated.")
    ] = None,
    voice: Annotated[
        list[str] | None, typer.Option(help="Only these: flite, joe, espeak, festival.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one gives other corpora.")] = 0,
    readings: Annotated[int, typer.Option(min=1, help="Texts of a shard.")] = 160,
    worker: Annotated[int, typer.Option(min=0, help="Which of the workers this is.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
) -> None:
    """Read sampled dialogues aloud over telephone lines; stopped, it goes on where it was."""
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from vita_model.training import corpora
    from vita_model.training.manifest import write_manifest

    plan = _plan(kind)
    names = tuple(voice or corpora.READERS)
    if unknown := set(names) - set(corpora.READERS):
        raise _end(f"There is no voice {', '.join(sorted(unknown))}; see --help.")
    setting = corpora.Setting(seed, names, readings)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        total = sum(len(range(worker, count, workers)) for _, count in plan)
        bar = progress.add_task("shards", total=total)

        def report(name: str) -> None:
            progress.update(bar, advance=1, description=name)

        try:
            corpora.make(folder, plan, setting, worker=worker, workers=workers, report=report)
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise _end(
                f"A voice is missing ({error}). Install the extra train and espeak-ng, flite and"
                " festival, or leave the voice out with --voice and --kind."
            ) from None
    typer.echo(f"Described in {write_manifest(folder, setting, plan)}")


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="Folder of shards.")] = FOLDER) -> None:
    """Look at every row of every shard."""
    from vita_model.training.manifest import ShardError, check

    try:
        rows = check(folder)
    except ShardError as error:
        raise _end(str(error)) from None
    typer.echo(f"{rows} rows, nothing wrong.")


@app.command()
def heard(
    work: Annotated[Path, typer.Option(help="Work folder of a training.")] = FOLDER.parent,
    checkpoint: Annotated[Path | None, typer.Option(help="Whose listener listens.")] = None,
) -> None:
    """Read questions about pictures aloud and write what a trained listener makes of them."""
    from vita_model.engine.tiny import TinyVoice
    from vita_model.tiny import FOLDER as SHIPPED
    from vita_model.tiny import load_parts
    from vita_model.training.corpora import training_readers
    from vita_model.training.heard import make
    from vita_model.training.tiny_run import HEARD_FILE

    voice = TinyVoice(load_parts(checkpoint or SHIPPED))
    make(work / HEARD_FILE, voice.listen, training_readers())
    typer.echo(f"Written: {work / HEARD_FILE}")


def _plan(kinds: list[str] | None) -> list[tuple[str, int]]:
    known = dict(PLAN)
    if not kinds:
        return PLAN
    found = []
    for entry in kinds:
        name, _, count = entry.partition(":")
        if name not in known or not (count or "1").isdigit():
            raise _end(f"There is no kind {entry}; there are {', '.join(known)}.")
        found.append((name, int(count or known[name])))
    return found


def _end(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(EXIT_CANNOT)
