"""The supervisors' console beside an open house, with somebody who may sign in."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.demo.part import PartProcess
from agent.demo.processes import House
from agent.errors import NotFoundError
from agent.settings import environment_for
from agent.supervisor.access import Actor

EMAIL = "demo@example.com"


@dataclass(frozen=True, slots=True)
class OpenConsole:
    """Where the console answers, and who may sign in: an admin with a password of this run."""

    url: str
    email: str
    password: str


@asynccontextmanager
async def open_console(house: House) -> AsyncIterator[OpenConsole]:
    """Serve the console over the house's call log until the block is left.

    Raises:
        PartNotStartedError: Its process ended, or did not answer in time.
    """
    password = await _admin(house)
    environment = environment_for(
        profile="dev",
        data_dir=house.data_dir,
        lines_file=house.lines_file,
        model_url=house.model_url,
    )
    command = ["console", "--port", "0"]
    log = house.data_dir / "console.log"
    async with PartProcess("console", command, log, environment) as process:
        yield OpenConsole(process.url, EMAIL, password)


async def _admin(house: House) -> str:
    """Let the demonstration's admin in with a new password, and return it."""
    users = house.agent.application.supervisors.users
    actor, password = Actor("command", "demo", "demo", "admin"), secrets.token_urlsafe(12)
    try:
        user = await users.find(actor, EMAIL)
    except NotFoundError:
        await users.create(actor, email=EMAIL, name="Demo", role="admin", password=password)
    else:
        await users.set_password(actor, user.id, password)
    return password
