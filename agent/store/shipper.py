"""Carries events from the spool to the database, in the background and as often as it takes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from agent.errors import DatabaseAwayError
from agent.log import get_logger
from agent.store.engine import Database
from agent.store.projection import store_events
from agent.store.spool import Spool, SpooledEvent
from agent.store.unit_of_work import writing

log = get_logger(__name__)

BATCH = 500
PAUSE_S = 0.2
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0

# The database, or the spool's disk, is away or busy: the same events will do later.
_LATER = (
    OperationalError,
    InterfaceError,
    InternalError,
    PoolTimeoutError,
    OSError,
    sqlite3.Error,
    DatabaseAwayError,
)

# The database or its driver will never take these values.
_REFUSED = (SQLAlchemyError, ValueError, TypeError, ArithmeticError, LookupError)


class Shipper:
    """Ships one spool. `run` is its task; `stop` lets it ship what is left and ends it.

    Args:
        spool: Where the events are.
        database: Where they go.
        prepare: Done before anything is shipped, as often as it takes: without its tables a
            database would refuse every event for good.
    """

    def __init__(
        self, spool: Spool, database: Database, prepare: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._spool = spool
        self._database = database
        self._prepare = prepare
        self._stopping = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._backoff_s = 0.0

    @property
    def reaches_database(self) -> bool:
        """Whether the last attempt to ship did not fail."""
        return not self._backoff_s

    @property
    def prepared(self) -> bool:
        """Whether the database has its tables: others may write to it as well."""
        return self._prepare is None

    async def run(self) -> None:
        """Ship until `stop`; whenever the database is away, try again later."""
        while not self._stopping.is_set():
            try:
                await self.drain()
                self._recovered()
                pause = PAUSE_S
            except _LATER as error:
                pause = self._failed(error)
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def drain(self) -> None:
        """Ship everything the spool holds now.

        Raises:
            SQLAlchemyError, OSError, sqlite3.Error, DatabaseAwayError: The database or the spool's
                disk is away; what was not shipped stays in the spool.
        """
        async with self._one_at_a_time:
            if self._prepare is not None:
                await self._prepare()
                self._prepare = None
            while events := await asyncio.to_thread(self._spool.read, BATCH):
                await self._ship(events)

    async def stop(self, timeout_s: float) -> bool:
        """End `run` after a last attempt. False: events are left in the spool, for the next start."""
        self._stopping.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self.drain()
        except (*_LATER, TimeoutError) as error:
            log.warning("events_left_in_spool", reason=type(error).__name__)
            return False
        return True

    async def _ship(self, events: Sequence[SpooledEvent]) -> None:
        try:
            await self._store(events)
        except _LATER:
            raise
        except _REFUSED:
            await self._ship_singly(events)
            return
        await asyncio.to_thread(self._spool.forget, events)

    async def _ship_singly(self, events: Sequence[SpooledEvent]) -> None:
        """Something in the batch is refused for what it holds: find it, so the rest can go on."""
        for event in events:
            try:
                await self._store([event])
            except _LATER:
                raise
            except _REFUSED as error:
                reason = type(error).__name__
                await asyncio.to_thread(self._spool.set_aside, event, reason)
                log.error(  # noqa: TRY400 - the database's text may quote what was said
                    "event_set_aside", kind=event.kind, seq=event.seq, reason=reason
                )
            else:
                await asyncio.to_thread(self._spool.forget, [event])

    async def _store(self, events: Sequence[SpooledEvent]) -> None:
        async with writing(self._database) as db:
            await store_events(db, events)

    def _recovered(self) -> None:
        if self._backoff_s:
            self._backoff_s = 0.0
            log.info("call_log_reached_again")

    def _failed(self, error: Exception) -> float:
        if not self._backoff_s:
            log.warning("call_log_away", reason=type(error).__name__)
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)
        return self._backoff_s
