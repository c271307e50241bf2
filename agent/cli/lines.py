"""`vita lines …`: the configured phone lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.calls.line import load_lines
from agent.settings import load_settings
from agent.tools.registry import ToolRegistry

app = typer.Typer(help="Look at the phone lines.", no_args_is_help=True)


@app.command("list")
def list_lines(
    file: Annotated[
        Path | None, typer.Option(help="Lines file; VITA_LINES_FILE if absent.")
    ] = None,
) -> None:
    """Check the lines file and show its lines."""
    path = file or load_settings().lines_file
    table = Table("number", "business", "tools", "transfer", "recording")
    for line in load_lines(path, ToolRegistry.discover().allowed):
        table.add_row(
            line.number,
            line.business,
            ", ".join(line.tools) or "-",
            line.transfer_target or "-",
            "yes" if line.recording else "no",
        )
    Console().print(table)
