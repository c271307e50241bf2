"""`vita users …`: who may sign in to the console."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table

from agent.cli.supervising import Services, ask
from agent.cli.tables import show_table
from agent.errors import InvalidRequestError
from agent.supervisor.access import ROLES, Role
from agent.supervisor.accounts import User

app = typer.Typer(help="Look after the people who may sign in.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="E-mail address.")]
RoleName = Annotated[str, typer.Option("--role", help=f"One of {', '.join(ROLES)}.")]


@app.command("add")
def add_user(
    email: Email,
    role: RoleName = "viewer",
    name: Annotated[str, typer.Option(help="As others see it.")] = "",
) -> None:
    """Add a person. The password is asked for, or read from standard input."""
    chosen, password = checked_role(role), _password()
    user = ask(
        lambda services: services.users.create(
            services.actor, email=email, name=name, role=chosen, password=password
        ),
        make_tables=True,
    )
    typer.echo(f"{user.email} may sign in as {user.role}.")


@app.command("list")
def list_users() -> None:
    """Show everybody."""
    table = Table("e-mail", "name", "role", "state", "last sign-in (UTC)")
    for user in ask(lambda services: services.users.list(services.actor), make_tables=True):
        last = f"{user.last_sign_in_at:%Y-%m-%d %H:%M}" if user.last_sign_in_at else "never"
        state = "disabled" if user.disabled else "active"
        table.add_row(user.email, user.name, user.role, state, last)
    show_table(table)


@app.command("disable")
def disable_user(email: Email) -> None:
    """Shut a person out and end their sessions."""
    _change(email, disabled=True)
    typer.echo(f"{email} cannot sign in any more.")


@app.command("enable")
def enable_user(email: Email) -> None:
    """Let a person in again, also one who is locked out."""
    _change(email, disabled=False)
    typer.echo(f"{email} may sign in again.")


@app.command("role")
def change_role(
    email: Email, role: Annotated[str, typer.Argument(help=f"One of {', '.join(ROLES)}.")]
) -> None:
    """Give a person another role."""
    chosen = checked_role(role)

    async def change(services: Services) -> User:
        user = await services.users.find(services.actor, email)
        return await services.users.set_role(services.actor, user.id, chosen)

    typer.echo(f"{ask(change, make_tables=True).email} is {chosen} now.")


@app.command("passwd")
def change_password(email: Email) -> None:
    """Give a person a new password and end their sessions."""
    password = _password()

    async def change(services: Services) -> None:
        user = await services.users.find(services.actor, email)
        await services.users.set_password(services.actor, user.id, password)

    ask(change, make_tables=True)
    typer.echo(f"{email} has a new password.")


def checked_role(role: str) -> Role:
    """A role by its name.

    Raises:
        InvalidRequestError: There is no such role.
    """
    for known in ROLES:
        if role == known:
            return known
    raise InvalidRequestError(f"There is no role {role}: take one of {', '.join(ROLES)}.")


def _change(email: str, *, disabled: bool) -> None:
    async def change(services: Services) -> User:
        user = await services.users.find(services.actor, email)
        return await services.users.set_disabled(services.actor, user.id, disabled=disabled)

    ask(change, make_tables=True)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given
