"""`vita model duplex`: does the agent stop for the right sounds, and soon enough?"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vita_model.evaluation.duplex import Outcome, Over
    from vita_model.evaluation.duplex_set import Half

EXIT_BELOW_BAR = 1
EXIT_BAD_SETTING = 2
_HALVES: tuple[Half, ...] = ("report", "tuning")
_OVER: tuple[Over, ...] = ("answer", "greeting")


def duplex(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
    half: Annotated[
        str, typer.Option(help="Half of the set: report, or tuning, which the rules may know.")
    ] = "report",
    over: Annotated[
        str, typer.Option(help="What the agent says meanwhile: answer, greeting or both.")
    ] = "both",
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Part of the set to play.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed makes other cases.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="PNG to write; needs the extra bench.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Play questions, backchannels and noises into a call while the agent speaks, and count."""
    halves = [known for known in _HALVES if known == half]
    spoken = [known for known in _OVER if over in (known, "both")]
    if not halves:
        raise _end(f"There is no half {half!r}; take report or tuning.")
    if not spoken:
        raise _end(f"The agent cannot say {over!r}; take answer, greeting or both.")
    missing = [name for name in ("espeak-ng", "flite") if shutil.which(name) is None]
    if missing:
        raise _end(f"The set is read aloud by {missing[0]}; install it.")
    from rich.console import Console

    from vita_model.checkpoint import CheckpointError
    from vita_model.evaluation import duplex_report

    try:
        runs = asyncio.run(_run(checkpoint, halves[0], spoken, share, seed))
    except (CheckpointError, FileNotFoundError) as error:
        raise _end(f"The checkpoint cannot be used: {str(error).rstrip('.')}.") from None
    if plot is not None:
        duplex_report.draw(runs, plot)
    if as_json:
        typer.echo(duplex_report.as_json(runs))
    else:
        for what, outcomes in runs.items():
            title = f"Sounds over the agent's {what}, {half} half"
            Console().print(duplex_report.table(outcomes, title))
    if not all(duplex_report.holds(outcomes) for outcomes in runs.values()):
        raise typer.Exit(EXIT_BELOW_BAR)


async def _run(
    checkpoint: Path | None, half: Half, over: list[Over], share: float, seed: int
) -> dict[Over, list[Outcome]]:
    from vita_model.engine.load import load_voice_model
    from vita_model.evaluation import duplex
    from vita_model.evaluation.duplex_set import cases

    voice = load_voice_model(checkpoint)
    try:
        made = list(cases(half, seed, share))
        return {what: [o async for o in duplex.run(voice, made, what)] for what in over}
    finally:
        await voice.close()


def _end(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(EXIT_BAD_SETTING)
