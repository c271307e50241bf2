"""`vita demo`: one real call, from the caller's voice to the call log."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    *,
    lines: Annotated[
        Path | None, typer.Option(help="Lines file; the demonstration's own if left out.")
    ] = None,
    line: Annotated[str, typer.Option(help="Number of the line to call.")] = "+15550100",
    callers: Annotated[
        Path | None, typer.Option(help="Manifest of the questions to ask, recordings beside it.")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Folder of everything written.")] = Path(
        "var/demo"
    ),
    model_url: Annotated[
        str, typer.Option(help="Use this model server instead of starting one.")
    ] = "",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
    stay: Annotated[
        bool | None,
        typer.Option(help="Keep running after the call; on a terminal it does anyway."),
    ] = None,
) -> None:
    """Start everything on this machine, call the demo line, show and judge the call.

    Exits with 0 only if the call really worked.
    """
    from agent.cli.logs import logs_in
    from agent.demo import DEMO_LINES
    from agent.demo.script import MANIFEST

    with logs_in(data_dir / "agent.log"):
        from agent.demo.run import DemoOptions, new_console, run_demo

        on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        options = DemoOptions(
            lines=lines or DEMO_LINES,
            number=line,
            callers=callers or MANIFEST,
            data_dir=data_dir,
            model_url=model_url,
            checkpoint=checkpoint,
            stay=on_terminal if stay is None else stay,
        )
        code = asyncio.run(run_demo(options, new_console()))
    raise typer.Exit(code)
