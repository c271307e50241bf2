"""The call log's database: SQLite by default, PostgreSQL in production.

SQLite's defaults lose updates without an error: a transaction that reads first and writes later
only takes the write lock at the write. Every writing transaction therefore begins with
`BEGIN IMMEDIATE`. PostgreSQL loses them too at its default level; at `REPEATABLE READ` the second of
two such transactions fails instead. Readers have connections of their own that cannot write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from agent.errors import ConfigurationError

POOL_SIZE = 5
BUSY_TIMEOUT_MS = 5000

POSTGRES = "postgresql+psycopg"
DRIVERS = {"sqlite": "sqlite", "postgresql": POSTGRES, "postgres": POSTGRES}


class Database:
    """The two engines of the call log: `writer` and `reader`."""

    def __init__(self, url: str) -> None:
        """Make the engines; nothing is connected before the first use.

        Raises:
            ConfigurationError: The URL is none of SQLite or PostgreSQL.
        """
        self.url = database_url(url)
        self.writer = _async_engine(self.url, read_only=False)
        self.reader = _async_engine(self.url, read_only=True)

    async def close(self) -> None:
        """Close all connections."""
        await self.reader.dispose()
        await self.writer.dispose()


def database_url(text: str) -> URL:
    """Read an SQLAlchemy URL and give it the driver this program uses.

    Raises:
        ConfigurationError: The URL is none of SQLite or PostgreSQL.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ConfigurationError("The setting VITA_DATABASE_URL is not a database URL.") from error
    driver = DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise ConfigurationError(
            "The setting VITA_DATABASE_URL: must start with sqlite:/// or postgresql://."
        )
    return url.set(drivername=driver)


def sync_engine(url: URL) -> Engine:
    """An engine without a loop, for migrations; each use opens its own connection."""
    _make_folder(url)
    engine = create_engine(url)
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite(engine, read_only=False)
    return engine


def _async_engine(url: URL, *, read_only: bool) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(
            url,
            isolation_level="REPEATABLE READ",
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            execution_options={"postgresql_readonly": read_only},
        )
    _make_folder(url)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        pool_size=POOL_SIZE,
        max_overflow=0,
        hide_parameters=True,
    )
    _prepare_sqlite(engine.sync_engine, read_only=read_only)
    return engine


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _record: Any) -> None:
        # The driver must not open transactions itself; `on_begin` does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _make_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
