"""`vita audit …`: who did what, and whether somebody has changed that record."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from agent.cli.supervising import ask
from agent.cli.tables import show_table
from agent.errors import ConflictError

app = typer.Typer(help="Look into the audit log.", no_args_is_help=True)


@app.command("list")
def list_entries(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    about: Annotated[str, typer.Option(help="Only what was done to this, such as call/ID.")] = "",
    action: Annotated[str, typer.Option(help="Only this, such as call.reveal.")] = "",
) -> None:
    """Show the newest entries."""
    page = ask(
        lambda services: services.audit.list(
            services.actor, about=about, action=action, limit=limit
        )
    )
    table = Table("no.", "when (UTC)", "who", "action", "to what", "from")
    for entry in page.items:
        table.add_row(
            str(entry.seq),
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            f"{entry.actor_kind} {entry.actor_id}",
            entry.action,
            entry.object,
            entry.ip or "-",
        )
    show_table(table)


@app.command()
def verify() -> None:
    """Check that no entry was changed or taken out since it was written."""
    broken = ask(lambda services: services.audit.broken_at())
    if broken is not None:
        raise ConflictError(
            f"The audit log was changed: entry {broken} does not follow from the one before it."
        )
    typer.echo("Every entry follows from the one before it.")
