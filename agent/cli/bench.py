"""`vita bench`: measurements with their method, never a test."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.demo import CALLERS

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure the product's speed on this machine."""


@app.command("model")
def model(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
) -> None:
    """Hear, think and speak: wall and CPU time of turns over the demo's recordings."""
    import soundfile
    import soxr

    from vita_model import bench as measuring
    from vita_model.engine.load import load_voice_model

    voice = load_voice_model(checkpoint)
    recordings = []
    for path in sorted(CALLERS.glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float32")
        recordings.append(soxr.resample(samples, rate, voice.input_rate))
    table = Table("", "wall", "CPU", "unit")
    for figure in asyncio.run(measuring.bench(voice, recordings)):
        table.add_row(figure.name, f"{figure.wall:.1f}", f"{figure.cpu:.1f}", figure.unit)
    Console().print(table)
