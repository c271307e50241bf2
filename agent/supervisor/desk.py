"""Everything supervisors can do, put together: what the console and the REST interface stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock, SystemClock
from agent.session.embedded import EmbeddedValkey
from agent.session.store import SessionStore
from agent.settings import Settings
from agent.store.engine import Database
from agent.supervisor.accounts import Users
from agent.supervisor.audit import AuditLog
from agent.supervisor.calls import CallArchive
from agent.supervisor.keys import ApiKeys
from agent.supervisor.live import WAIT_S, LiveCalls
from agent.supervisor.notes import Notes
from agent.supervisor.rate_limit import RateLimit
from agent.supervisor.recordings import Recordings
from agent.supervisor.review import Reviews
from agent.supervisor.search import Search
from agent.supervisor.sign_in import SignIns
from agent.supervisor.statistics import StatisticsDesk
from agent.supervisor.stills import Stills

SIGN_IN_ATTEMPTS = 20
SIGN_IN_WINDOW_S = 600


@dataclass(frozen=True, slots=True)
class SupervisorDesk:
    """The services. Each method takes who asks first, and checks what they may."""

    users: Users
    sign_ins: SignIns
    keys: ApiKeys
    audit: AuditLog
    calls: CallArchive
    search: Search
    notes: Notes
    reviews: Reviews
    statistics: StatisticsDesk
    live: LiveCalls
    recordings: Recordings
    stills: Stills


@asynccontextmanager
async def supervisor_desk(
    database: Database, store: SessionStore, data_dir: Path, clock: Clock | None = None
) -> AsyncIterator[SupervisorDesk]:
    """The services over stores that are open already."""
    clock = clock or SystemClock()
    waiting = SessionStore(store.url, budget_s=2 * WAIT_S)
    audit = AuditLog(database, clock)
    attempts = RateLimit(store, clock, SIGN_IN_ATTEMPTS, SIGN_IN_WINDOW_S)
    try:
        yield SupervisorDesk(
            users=Users(database, audit, clock),
            sign_ins=SignIns(database, audit, attempts, clock),
            keys=ApiKeys(database, audit, clock),
            audit=audit,
            calls=CallArchive(database, audit),
            search=Search(database, audit),
            notes=Notes(database, audit, clock),
            reviews=Reviews(database, audit, clock),
            statistics=StatisticsDesk(database),
            live=LiveCalls(store, waiting, audit),
            recordings=Recordings(database, audit, data_dir),
            stills=Stills(database, audit, data_dir),
        )
    finally:
        await waiting.close()


@asynccontextmanager
async def open_supervisor_desk(settings: Settings) -> AsyncIterator[SupervisorDesk]:
    """The services in a process of their own, with stores of their own.

    Raises:
        ConfigurationError: A setting is wrong.
        SessionStoreError: Redis does not answer.
    """
    async with AsyncExitStack() as stack:
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
        else:
            url = (await stack.enter_async_context(EmbeddedValkey(settings.data_dir))).url
        store = SessionStore(url)
        stack.push_async_callback(store.close)
        database = Database(settings.sql_url())
        stack.push_async_callback(database.close)
        yield await stack.enter_async_context(supervisor_desk(database, store, settings.data_dir))
