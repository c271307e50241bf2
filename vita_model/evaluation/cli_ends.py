"""How the commands of an evaluation end."""

from __future__ import annotations

import typer

EXIT_CANNOT = 2
EXIT_STOPPED = 130


def end(message: str, code: int) -> typer.Exit:
    """Says why; to be raised."""
    typer.echo(message, err=True)
    return typer.Exit(code)
