"""`vita model keys`: who may use a model server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vita_model.serving.key_file import KeyFile, KeyFileError
from vita_model.serving.keys import SCOPES, Key, digest_of, new_secret

EXIT_BAD_SETTING = 2

app = typer.Typer(no_args_is_help=True, help="Keys of those who may use a model server.")

FileOption = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="VITA_MODEL_KEYS_FILE",
        show_envvar=True,
        help="The file of keys; a running server notices changes.",
    ),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the key is called.")],
    *,
    file: FileOption,
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it is good for: {', '.join(SCOPES)}. May be repeated."),
    ] = None,
    sessions: Annotated[int, typer.Option(min=0, help="Sessions at once; 0: no limit.")] = 0,
    per_minute: Annotated[
        int, typer.Option(min=0, help="Sessions opened in a minute; 0: no limit.")
    ] = 0,
) -> None:
    """Make a key. It is shown once and kept nowhere."""
    wanted = scope or ["sessions"]
    if unknown := [entry for entry in wanted if entry not in SCOPES]:
        raise _end(f"{unknown[0]!r} is no scope; choose among {', '.join(SCOPES)}.")
    secret = new_secret()
    today = datetime.now(UTC).date().isoformat()
    scopes = frozenset(entry for entry in SCOPES if entry in wanted)
    try:
        KeyFile(file).add(Key(name, digest_of(secret), scopes, sessions, per_minute, today))
    except KeyFileError as error:
        raise _end(str(error)) from None
    typer.echo(secret)
    typer.echo("Keep it now: it cannot be shown again.", err=True)


@app.command("list")
def list_keys(*, file: FileOption) -> None:
    """Show which keys there are, without the keys."""
    from rich.console import Console
    from rich.table import Table

    try:
        keys = KeyFile(file).read()
    except KeyFileError as error:
        raise _end(str(error)) from None
    table = Table("name", "good for", "sessions at once", "per minute", "since", box=None)
    for key in keys:
        limits = [str(limit) if limit else "any" for limit in (key.sessions, key.per_minute)]
        table.add_row(key.name, ", ".join(sorted(key.scopes)), *limits, key.created)
    Console().print(table)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="What the key is called.")], *, file: FileOption
) -> None:
    """Take a key away. Sessions it has opened go on."""
    try:
        KeyFile(file).revoke(name)
    except KeyFileError as error:
        raise _end(str(error)) from None
    typer.echo(f"The key {name!r} opens nothing any more.")


def _end(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(EXIT_BAD_SETTING)
