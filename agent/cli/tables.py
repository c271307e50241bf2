"""Tables on the terminal, and in files they are sent to."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

FILE_WIDTH = 130
"""Columns where the output is no terminal: an id is of no use when it is cut."""


def terminal() -> Console:
    """Standard output: as wide as the terminal, and wide enough where it is none."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


def show_table(table: Table) -> None:
    """Print a table. What does not fit is broken, never cut."""
    for column in table.columns:
        column.overflow = "fold"
    terminal().print(table)
