"""`vita keys …`: API keys for programs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from agent.cli.supervising import ask
from agent.cli.tables import show_table
from agent.cli.users import checked_role
from agent.supervisor.access import ROLES
from agent.supervisor.keys import ApiKey

app = typer.Typer(help="Look after the keys of the REST interface.", no_args_is_help=True)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "viewer",
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="How long it holds; for ever if left out.")
    ] = None,
) -> None:
    """Make a key and print it. It is not kept and cannot be shown again."""
    chosen = checked_role(role)
    made = ask(
        lambda services: services.keys.create(services.actor, name=name, role=chosen, days=days),
        make_tables=True,
    )
    typer.echo(made.token)


@app.command("list")
def list_keys() -> None:
    """Show all keys, without their secrets."""
    table = Table("prefix", "name", "role", "made (UTC)", "by", "last used (UTC)", "state")
    for key in ask(lambda services: services.keys.list(services.actor), make_tables=True):
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        made = f"{key.created_at:%Y-%m-%d %H:%M}"
        table.add_row(key.prefix, key.name, key.role, made, key.created_by, used, _state(key))
    show_table(table)


@app.command("revoke")
def revoke_key(
    prefix: Annotated[str, typer.Argument(help="Prefix from `vita keys list`.")],
) -> None:
    """Let a key never work again."""
    key = ask(lambda services: services.keys.revoke(services.actor, prefix), make_tables=True)
    typer.echo(f"The key {key.prefix} ({key.name}) does not work any more.")


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "for ever"
