"""`vita db …`: the call log's tables."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import URL

from agent.settings import load_settings
from agent.store import migrate
from agent.store.engine import database_url

app = typer.Typer(help="Bring the call log's tables up or down.", no_args_is_help=True)


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="Revision to go to.")] = "head",
) -> None:
    """Bring the tables up to a revision."""
    url = _url()
    migrate.upgrade(url, revision)
    typer.echo(f"{url.render_as_string()} is at {migrate.current(url)}.")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="Revision to go to; `base` drops all.")],
) -> None:
    """Take the tables down to a revision. Data in dropped columns and tables is lost."""
    url = _url()
    migrate.downgrade(url, revision)
    typer.echo(f"{url.render_as_string()} is at {migrate.current(url) or 'base'}.")


@app.command()
def current() -> None:
    """Show the revision the tables are at."""
    url = _url()
    typer.echo(f"{migrate.current(url) or 'base'} (newest: {migrate.head()})")


def _url() -> URL:
    return database_url(load_settings().sql_url())
