"""`vita calls …`: the call log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.calls.repository import CallRecord, CallRepository
from agent.errors import ConfigurationError
from agent.settings import load_settings
from agent.store import migrate
from agent.store.engine import Database

app = typer.Typer(help="Look into the call log.", no_args_is_help=True)

T = TypeVar("T")

FILE_WIDTH = 130
"""Columns where the output is no terminal: an id is of no use when it is cut."""


@app.command("list")
def list_calls(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    number: Annotated[str, typer.Option(help="Only calls to this line.")] = "",
) -> None:
    """Show the newest calls."""
    calls = _ask(lambda repository: repository.list_calls(limit=limit, number=number))
    table = Table("call", "started (UTC)", "line", "from", "state", "seconds")
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for call in calls:
        seconds = "-"
        if call.ended_at:
            seconds = f"{(call.ended_at - call.started_at).total_seconds():.0f}"
        table.add_row(
            call.id,
            f"{call.started_at:%Y-%m-%d %H:%M:%S}",
            call.to_number or "-",
            call.pii_from_number or "-",
            f"{call.state} {call.end_reason}".strip(),
            seconds,
        )
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)


@app.command("show")
def show_call(call_id: Annotated[str, typer.Argument(help="Id from `vita calls list`.")]) -> None:
    """Show what was said and done in one call."""
    record = _ask(lambda repository: repository.get_call(call_id))
    if record is None:
        raise ConfigurationError(f"There is no call {call_id}: see `vita calls list`.")
    _print(record, Console())


def _print(record: CallRecord, console: Console) -> None:
    call = record.call
    console.print(f"[bold]{call.business or call.to_number}[/bold] {call.state} {call.end_reason}")
    happened = [(line.seq, f"{line.role}: {line.pii_text}") for line in record.utterances]
    happened += [
        (tool.seq, f"tool {tool.tool}({tool.pii_arguments}) {tool.status}: {tool.pii_result}")
        for tool in record.tools
    ]
    happened += [(item.seq, f"recording {item.path}") for item in record.recordings]
    for _, text in sorted(happened):
        console.print(escape(text))
    console.print(f"{len(record.events)} events")


def _ask(question: Callable[[CallRepository], Awaitable[T]]) -> T:
    async def ask() -> T:
        database = Database(load_settings().sql_url())
        try:
            if not await asyncio.to_thread(migrate.current, database.url):
                raise ConfigurationError("There is no call log yet: `vita db upgrade` makes one.")
            return await question(CallRepository(database))
        finally:
            await database.close()

    return asyncio.run(ask())
