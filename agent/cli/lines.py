"""`vita lines …`: which lines there are, what a file would change, and making it count."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from agent.calls.line import Line
from agent.calls.line_plan import KeyChange, LineChange, LinePlan
from agent.calls.line_source import NO_LINES
from agent.calls.lines import AppliedLine, LineCatalog
from agent.calls.lines_file import read_lines
from agent.cli.tables import show_table
from agent.clock import SystemClock
from agent.errors import ConfigurationError, LineNotFoundError
from agent.settings import load_settings
from agent.store import migrate
from agent.store.engine import Database
from agent.tools.installed import installed_tools

app = typer.Typer(help="Look at the lines, and change them.", no_args_is_help=True)

CHANGES_EXIT_CODE = 5

File = Annotated[Path, typer.Argument(help="Lines file.")]
By = Annotated[str | None, typer.Option(help="Who applies it; your login name if left out.")]
Entry = Annotated[str, typer.Argument(help="Number of the line, or web:NAME.")]

T = TypeVar("T")


@app.command("list")
def list_lines(
    file: Annotated[
        Path | None, typer.Option(help="Check and show this file; VITA_LINES_FILE if it is set.")
    ] = None,
) -> None:
    """Show the lines that count: those applied, or those of a file."""
    settings = load_settings()
    if path := file or settings.lines_file:
        table = Table(*_COLUMNS)
        for line in read_lines(path, installed_tools(load_settings()).allowed):
            table.add_row(*_row(line))
        show_table(table)
        return
    applied = _run(LineCatalog.applied)
    if not applied:
        typer.echo(NO_LINES)
        return
    table = Table(*_COLUMNS, "version", "since", "by")
    for each in applied:
        table.add_row(*_row(each.line()), *_applied_row(each))
    show_table(table)


@app.command()
def plan(
    file: File,
    *,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help=f"End with {CHANGES_EXIT_CODE} if there are changes."),
    ] = False,
) -> None:
    """Show what applying a file would change. Changes nothing."""
    lines = _checked(file)
    planned = _run(lambda catalog: catalog.plan(lines))
    _show(planned)
    if exit_code and not planned.empty:
        raise typer.Exit(CHANGES_EXIT_CODE)


@app.command()
def apply(
    file: File,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: By = None,
) -> None:
    """Make a file's lines the ones that count, from the next call on.

    Lines that are not in the file are removed; their versions are kept.
    """
    lines = _checked(file)
    planned = _run(lambda catalog: catalog.plan(lines))
    _show(planned)
    if planned.empty:
        return
    _agree(yes)
    _ = _run(lambda catalog: catalog.apply(lines, by=_who(by), base=planned.base))
    typer.echo("Applied. It counts from the next call on.")
    if load_settings().lines_file is not None:
        typer.echo("Mind: VITA_LINES_FILE is set, so a server started like this reads that file.")


@app.command()
def versions(entry: Entry) -> None:
    """Show all versions of a line, newest first."""
    found = _run(lambda catalog: catalog.versions(entry))
    if not found:
        raise ConfigurationError(f"No version of the line {entry} was ever applied.")
    table = Table("version", "", "business", "applied first", "by")
    for each in found:
        table.add_row(
            str(each.version),
            "counts" if each.applied else "",
            str(each.snapshot.get("business", "")),
            f"{each.created_at:%Y-%m-%d %H:%M} UTC",
            each.created_by,
        )
    show_table(table)


@app.command()
def rollback(
    entry: Entry,
    version: Annotated[int, typer.Argument(min=1, help="Version that shall count again.")],
    *,
    by: By = None,
) -> None:
    """Make an earlier version of one line count again; the other lines stay."""
    line = _run(lambda catalog: catalog.rollback(entry, version, by=_who(by)))
    typer.echo(f"{line.entry} ({line.business}) is at version {version} from the next call on.")


_COLUMNS = ("line", "call page", "business", "tools", "transfer", "recording")


def _row(line: Line) -> Iterable[str]:
    return (
        line.entry,
        f"/call/{line.web}" if line.web else "-",
        line.business,
        ", ".join(line.tools) or "-",
        line.transfer_target or "-",
        "yes" if line.recording else "no",
    )


def _applied_row(applied: AppliedLine) -> Iterable[str]:
    return str(applied.version), f"{applied.since:%Y-%m-%d %H:%M} UTC", applied.by


def _checked(file: Path) -> list[Line]:
    return read_lines(file, installed_tools(load_settings()).allowed)


def _who(by: str | None) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


def _agree(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("Nobody is there to agree: add --yes to apply.")
    if not typer.confirm("Apply?"):
        raise typer.Exit(1)


def _show(planned: LinePlan) -> None:
    if planned.empty:
        typer.echo(f"Nothing to do: {planned.same} lines are as in the file.")
        return
    for change in planned.changes:
        _show_change(change)
    counts = [
        f"{sum(change.kind == kind for change in planned.changes)} to {kind}"
        for kind in ("add", "change", "remove")
    ]
    typer.echo(f"{', '.join(counts)}, {planned.same} stay.")


_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}


def _show_change(change: LineChange) -> None:
    sign, colour = _SIGNS[change.kind]
    typer.secho(f"{sign} {change.entry} ({change.business})", fg=colour, bold=True)
    for key in change.keys:
        for row, kind in _key_rows(key):
            typer.secho(f"    {row}", fg=_SIGNS[kind][1])
    typer.echo()


def _key_rows(change: KeyChange) -> Iterable[tuple[str, str]]:
    """Rows to print for a key, each with the kind of change it is."""
    old, new = change.old, change.new
    if isinstance(new, list) and isinstance(old, list | None):
        before = old or []
        yield f"{change.key}:", "change"
        yield from ((f"  - {_value(each)}", "remove") for each in before if each not in new)
        yield from ((f"  + {_value(each)}", "add") for each in new if each not in before)
        if sorted(map(str, before)) == sorted(map(str, new)):
            yield "  other order", "change"
    elif old is None:
        yield f"{change.key}: {_value(new)}", "add"
    else:
        yield f"{change.key}: {_value(old)} → {_value(new)}", "change"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    return "none" if value is None else str(value)


def applied_line(entry: str) -> Line:
    """The line that was applied for a number or a call page.

    Raises:
        LineNotFoundError: There is none.
    """
    for each in _run(LineCatalog.applied):
        if entry in ((line := each.line()).entry, f"web:{line.web}"):
            return line
    raise LineNotFoundError(f"No line {entry} is applied: `vita lines list` shows which are.")


def _run(ask: Callable[[LineCatalog], Awaitable[T]]) -> T:
    """Ask the catalog something; the tables are brought up first, as `vita serve` does it."""

    async def run() -> T:
        async with _catalog() as catalog:
            return await ask(catalog)

    return asyncio.run(run())


@asynccontextmanager
async def _catalog() -> AsyncIterator[LineCatalog]:
    database = Database(load_settings().sql_url())
    try:
        await asyncio.to_thread(migrate.upgrade, database.url)
        yield LineCatalog(database, SystemClock())
    finally:
        await database.close()
