"""Runs the console until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from typing_extensions import override

from agent.calls.lines import LineCatalog
from agent.clock import SystemClock
from agent.console.about import About
from agent.console.app import build_console
from agent.console.line_list import LineList
from agent.console.parts import Parts
from agent.console.watch import Watch
from agent.prompt_http import PromptHTTP
from agent.session.embedded import EmbeddedValkey
from agent.session.store import SessionStore
from agent.settings import Settings
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.desk import supervisor_desk
from agent.tools.registry import ToolRegistry

STOP_LIMIT_S = 3


@asynccontextmanager
async def console_parts(settings: Settings) -> AsyncIterator[Parts]:
    """What the pages stand on, with stores of their own.

    The embedded session store belongs to the agent: the console looks into it when it is there, and
    says that live calls cannot be seen when it is not.

    Raises:
        ConfigurationError: A setting is wrong, or the database is out of reach.
    """
    clock = SystemClock()
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        url = EmbeddedValkey(settings.data_dir).url
    store = SessionStore(url)
    database = Database(settings.sql_url())
    try:
        await asyncio.to_thread(migrate.upgrade, database.url)
        registry = await asyncio.to_thread(ToolRegistry.discover)
        async with supervisor_desk(database, store, settings.data_dir, clock) as desk:
            lines = LineList(LineCatalog(database, clock), settings.lines_file)
            watch = Watch(desk.live, clock)
            yield Parts(desk, watch, lines, registry, About(settings.model_urls))
    finally:
        await database.close()
        await store.close()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def serve(settings: Settings, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve the console on a bound socket until a signal ends it; `ready` is called once it listens.

    Raises:
        ConfigurationError: A setting is wrong, or the database is out of reach.
    """
    async with console_parts(settings) as parts:
        config = uvicorn.Config(
            build_console(parts),
            http=PromptHTTP,
            log_config=None,
            access_log=False,
            forwarded_allow_ips=settings.trusted_proxies,
            ws_ping_interval=20,
            ws_ping_timeout=20,
            timeout_graceful_shutdown=STOP_LIMIT_S,
        )
        await _Server(config, ready).serve(sockets=[bound])
