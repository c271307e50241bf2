"""`vita tools …`: the installed tools."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from agent.tools.registry import ToolRegistry

app = typer.Typer(help="Look at the installed tools.", no_args_is_help=True)


@app.command("list")
def list_tools() -> None:
    """Show every installed tool with its arguments."""
    table = Table("tool", "arguments", "what it does", "time limit")
    for tool in sorted(ToolRegistry.discover(), key=lambda tool: tool.name):
        arguments = ", ".join(tool.spec()["parameters"]["properties"])
        table.add_row(tool.name, arguments or "-", tool.description, f"{tool.timeout_s:g} s")
    Console().print(table)
