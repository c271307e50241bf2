"""The supervisors' services for commands: as an admin, since who runs them has the machine."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.clock import SystemClock
from agent.errors import ConfigurationError
from agent.settings import load_settings
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.access import Actor
from agent.supervisor.accounts import Users
from agent.supervisor.audit import AuditLog
from agent.supervisor.calls import CallArchive
from agent.supervisor.keys import ApiKeys
from agent.supervisor.search import Search

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """What commands use. `actor` is who runs the command."""

    actor: Actor
    users: Users
    keys: ApiKeys
    calls: CallArchive
    search: Search
    audit: AuditLog


def ask(question: Callable[[Services], Awaitable[T]], *, make_tables: bool = False) -> T:
    """Put a question to the services.

    Args:
        question: What to do with them.
        make_tables: Bring the tables up first; otherwise they must be there.

    Raises:
        ConfigurationError: There are no tables, or older ones.
    """

    async def run() -> T:
        database = Database(load_settings().sql_url())
        try:
            if make_tables:
                await asyncio.to_thread(migrate.upgrade, database.url)
            elif await asyncio.to_thread(migrate.current, database.url) != migrate.head():
                raise ConfigurationError(
                    "There is no call log yet, or an older one: `vita db upgrade` brings it up."
                )
            audit, clock = AuditLog(database, SystemClock()), SystemClock()
            services = Services(
                actor=Actor("command", _login(), _login(), "admin"),
                users=Users(database, audit, clock),
                keys=ApiKeys(database, audit, clock),
                calls=CallArchive(database, audit),
                search=Search(database, audit),
                audit=audit,
            )
            return await question(services)
        finally:
            await database.close()

    return asyncio.run(run())


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
