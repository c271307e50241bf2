"""`vita do-not-call …`: people who are never called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from agent.calls.outbound_rules import number_hash, require_number
from agent.settings import load_settings
from agent.store import migrate
from agent.store.dialling import DiallingBook
from agent.store.engine import Database

app = typer.Typer(help="Keep the list of people who are never called.", no_args_is_help=True)

T = TypeVar("T")

Number = Annotated[str, typer.Argument(help="Number, such as +15550123.")]


@app.command()
def add(
    number: Number, reason: Annotated[str, typer.Option(help="Why.")] = "put there by hand"
) -> None:
    """Put a number on the list."""
    hashed = number_hash(require_number(number))
    _ask(lambda book: book.list_number(hashed, datetime.now(UTC), reason))
    typer.echo(f"{number} is not called any more.")


@app.command()
def remove(number: Number) -> None:
    """Take a number off the list."""
    hashed = number_hash(require_number(number))
    was_there = _ask(lambda book: book.unlist_number(hashed))
    typer.echo(f"{number} may be called." if was_there else f"{number} was not on the list.")


@app.command()
def check(number: Number) -> None:
    """Tell whether a number is on the list."""
    hashed = number_hash(require_number(number))
    listed = _ask(lambda book: book.is_listed(hashed))
    typer.echo(f"{number} is {'' if listed else 'not '}on the list.")


def _ask(question: Callable[[DiallingBook], Awaitable[T]]) -> T:
    async def ask() -> T:
        database = Database(load_settings().sql_url())
        try:
            await asyncio.to_thread(migrate.upgrade, database.url)
            return await question(DiallingBook(database))
        finally:
            await database.close()

    return asyncio.run(ask())
