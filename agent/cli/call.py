"""`vita call`: asks recorded questions on a line and shows the conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def call(
    *,
    wav: Annotated[list[Path], typer.Option(help="Audio file to say; several are said in turn.")],
    line: Annotated[
        str, typer.Option(help="Number of the line to call; the first of the file if left out.")
    ] = "",
    twin: Annotated[
        str, typer.Option(help="Call through this running carrier twin; else all is started here.")
    ] = "",
    lines: Annotated[
        Path | None, typer.Option(help="Lines file, when all is started here.")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Folder of everything written, when all is started here.")
    ] = Path("var/call"),
    model_url: Annotated[
        str, typer.Option(help="Use this model server instead of starting one.")
    ] = "",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights of the one that is started.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to save what the caller heard.")] = Path(
        "heard.wav"
    ),
) -> None:
    """Place a call through a carrier twin, say recordings, save what the caller heard."""
    from agent.cli.logs import logs_in

    with logs_in(data_dir / "agent.log"):
        from agent.cli.line_choice import choose_line
        from agent.demo.place_call import CallOptions, call_embedded, call_through

        if twin:
            number = line or choose_line(lines, by_phone=True).number
            options = CallOptions(tuple(wav), number, out)
            asyncio.run(call_through(twin.rstrip("/"), options))
        else:
            options = CallOptions(tuple(wav), choose_line(lines, line, by_phone=True).number, out)
            asyncio.run(call_embedded(options, lines, data_dir, model_url, checkpoint))
