"""Puts the agent together, and takes it apart again in the opposite order."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.api import Dialler
from agent.calls.line_source import AppliedLines, LineSource, load_lines
from agent.calls.lines import LineCatalog
from agent.calls.outbound import OutboundCalls
from agent.calls.recall import Recall
from agent.calls.recovery import Recovery
from agent.calls.repository import CallRepository
from agent.calls.service import FrontDesk
from agent.calls.serving import CallRunner
from agent.calls.slots import CallSlots
from agent.clock import Clock, SystemClock
from agent.errors import ConfigurationError, DatabaseAwayError
from agent.health import Health
from agent.log import get_logger
from agent.models.pool import ModelPool
from agent.session.conversation import ConversationKeeper, Conversations
from agent.session.embedded import EmbeddedValkey
from agent.session.lease import Leases
from agent.session.live import LiveFeed
from agent.session.live_calls import LiveCallList
from agent.session.session import Sessions
from agent.session.store import SessionStore
from agent.session.tokens import StreamTokens
from agent.settings import Settings
from agent.store import migrate
from agent.store.dialling import DiallingBook
from agent.store.engine import Database
from agent.store.journal import CallJournal
from agent.store.shipper import Shipper
from agent.store.spool import Spool
from agent.supervisor.desk import SupervisorDesk, supervisor_desk
from agent.tasks import TaskOwner
from agent.tools.host import ToolHost
from agent.tools.installed import installed_tools, mcp_servers
from agent.tools.registry import ToolRegistry

log = get_logger(__name__)

DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Application:
    """The parts others may use while the agent runs."""

    settings: Settings
    desk: FrontDesk
    lines: LineSource
    catalog: LineCatalog
    registry: ToolRegistry
    calls: CallRepository
    outbound: OutboundCalls
    live: LiveFeed
    shipper: Shipper
    supervisors: SupervisorDesk
    store: SessionStore
    health: Health


@asynccontextmanager
async def build(
    settings: Settings,
    *,
    runner: CallRunner,
    dialler: Dialler | None = None,
    registry: ToolRegistry | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Application]:
    """Start everything the agent stands on; on the way out, ship what is left and stop it.

    Args:
        settings: The installation's settings.
        runner: Runs one call's conversation.
        dialler: Places outbound calls; nobody does when absent.
        registry: The tools; all installed plugins when absent.
        clock: Where time is read; the machine's when absent.

    Raises:
        ConfigurationError: A setting, the lines, the tools or the database are wrong.
        SessionStoreError: Redis does not answer.
    """
    clock = clock or SystemClock()
    registry = registry or installed_tools(settings)
    servers = mcp_servers(settings, registry)
    lines: LineSource | None = None
    if settings.lines_file is not None:
        lines = load_lines(settings.lines_file, registry.available)
    data_dir = _data_dir(settings)
    async with AsyncExitStack() as stack:
        store, embedded = await _session_store(settings, stack)
        database = Database(settings.sql_url())
        stack.push_async_callback(database.close)
        spool, shipper = await _spool(data_dir, database, stack)
        live = LiveFeed(store)
        calls = CallRepository(database)
        conversations = Conversations(store)
        keeper = ConversationKeeper(conversations)
        tasks = await stack.enter_async_context(TaskOwner("agent"))
        if embedded is not None:
            _ = tasks.spawn(embedded.watch(), name="embedded-valkey")
        _ = tasks.spawn(live.run(), name="live")
        _ = tasks.spawn(keeper.run(), name="conversations")
        _ = tasks.spawn(shipper.run(), name="shipper")
        stack.push_async_callback(shipper.stop, DRAIN_S)
        stack.push_async_callback(live.flush)

        catalog = LineCatalog(database, clock)
        if lines is None:
            lines = AppliedLines(catalog, data_dir / "applied-lines.json", registry.available)
            await lines.start()
            _ = tasks.spawn(lines.run(), name="lines")
        for server in servers:
            _ = tasks.spawn(server.run(), name=f"mcp-{server.config.name}")
        tool_host = await stack.enter_async_context(ToolHost(settings.tool_secrets()))

        def journal(call_id: str, epoch: int) -> CallJournal:
            return CallJournal(call_id, epoch, spool=spool, live=live, clock=clock)

        leases = Leases(store, clock, _worker_name())
        recovery = Recovery(
            data_dir=data_dir,
            database=database,
            shipper=shipper,
            leases=leases,
            journals=journal,
            clock=clock,
        )
        _ = tasks.spawn(recovery.run(), name="recovery")
        slots = CallSlots(settings.max_calls, settings.token_ttl_s, clock)
        key = settings.model_api_key.get_secret_value()
        models = ModelPool(store, settings.model_urls, key)
        _ = tasks.spawn(models.run(), name="models")
        health = Health(
            slots=slots,
            capacity=settings.max_calls,
            lines=lines,
            spool=spool,
            shipper=shipper,
            live=live,
            models=models,
            clock=clock,
        )
        _ = tasks.spawn(health.run(), name="health")

        desk = FrontDesk(
            lines=lines,
            registry=registry,
            tool_host=tool_host,
            runner=runner,
            sessions=Sessions(store),
            leases=leases,
            keeper=keeper,
            recall=Recall(conversations, calls),
            tokens=StreamTokens(store, settings.token_ttl_s),
            journals=journal,
            slots=slots,
            models=models,
            clock=clock,
            data_dir=data_dir,
            token_ttl_s=settings.token_ttl_s,
        )
        _ = tasks.spawn(LiveCallList(store).keep(lambda: desk.served), name="live-calls")
        supervisors = await stack.enter_async_context(
            supervisor_desk(database, store, data_dir, clock)
        )
        yield Application(
            settings=settings,
            desk=desk,
            lines=lines,
            catalog=catalog,
            registry=registry,
            calls=calls,
            outbound=OutboundCalls(desk, DiallingBook(database), dialler),
            live=live,
            shipper=shipper,
            supervisors=supervisors,
            store=store,
            health=health,
        )


def _data_dir(settings: Settings) -> Path:
    path = settings.data_dir.resolve()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {path} cannot be made: {error.strerror}. Set VITA_DATA_DIR."
        ) from error
    return path


async def _session_store(
    settings: Settings, stack: AsyncExitStack
) -> tuple[SessionStore, EmbeddedValkey | None]:
    embedded: EmbeddedValkey | None = None
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        embedded = await stack.enter_async_context(EmbeddedValkey(settings.data_dir))
        url = embedded.url
    store = SessionStore(url)
    stack.push_async_callback(store.close)
    await store.ping()
    return store, embedded


async def _spool(
    data_dir: Path, database: Database, stack: AsyncExitStack
) -> tuple[Spool, Shipper]:
    """Our own spool, and what ships it.

    The first start needs the database: its address may be wrong. Later ones go on without it.
    """

    async def bring_up_tables() -> None:
        await asyncio.to_thread(migrate.upgrade, database.url)

    folder = data_dir / "spool"
    try:
        await bring_up_tables()
    except DatabaseAwayError as error:
        if not folder.exists():
            raise
        log.error("database_away", reason=str(error))  # noqa: TRY400 - the sentence says it all
        spool = Spool.claim(folder)
        stack.callback(spool.close)
        return spool, Shipper(spool, database, bring_up_tables)
    spool = Spool.claim(folder)
    stack.callback(spool.close)
    return spool, Shipper(spool, database)


def _worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
