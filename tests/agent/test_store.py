from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from agent.errors import ConfigurationError
from agent.store import migrate
from agent.store.engine import Database, database_url, sync_engine
from agent.store.tables import CallRow, Table
from agent.store.unit_of_work import reading, writing

pytestmark = pytest.mark.integration


def call(call_id: str = "c1", **values: object) -> CallRow:
    given = {
        "state": "admitted",
        "state_seq": 0,
        "attempt": 0,
        "end_reason": "",
        "started_at": datetime(2026, 3, 2, tzinfo=UTC),
    }
    return CallRow(id=call_id, **(given | values))


async def test_no_update_is_lost_among_concurrent_writers(database: Database):
    async with writing(database) as db:
        db.add(call())

    done = []

    async def add_up() -> None:
        for _ in range(10):
            with suppress(OperationalError):
                async with writing(database) as db:
                    row = await db.get_one(CallRow, "c1")
                    await asyncio.sleep(0)
                    row.attempt += 1
                done.append(1)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(add_up())
    async with reading(database) as db:
        assert (await db.get_one(CallRow, "c1")).attempt == len(done) > 0
    if database.url.get_backend_name() == "sqlite":
        assert len(done) == 60


async def test_work_that_fails_leaves_nothing(database: Database):
    async def fail() -> None:
        async with writing(database) as db:
            db.add(call())
            await db.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with reading(database) as db:
        assert (await db.scalars(select(CallRow))).all() == []


async def test_a_reader_cannot_write(database: Database):
    async with reading(database) as db:
        db.add(call())
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await db.flush()


async def test_an_error_does_not_quote_what_was_said(database: Database):
    with pytest.raises(IntegrityError) as caught:
        async with writing(database) as db:
            db.add(call(started_at=None, pii_from_number="+15550123"))
    assert "+15550123" not in str(caught.value).split("DETAIL")[0]


async def test_times_come_back_aware_and_in_utc(database: Database):
    half_past = datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=5)))
    async with writing(database) as db:
        db.add(call(started_at=half_past))
    async with reading(database) as db:
        found = (await db.get_one(CallRow, "c1")).started_at
    assert (found, found.tzinfo) == (half_past, UTC)


async def test_a_time_without_a_zone_is_refused(database: Database):
    with pytest.raises(StatementError, match="without a zone"):
        async with writing(database) as db:
            db.add(call(started_at=datetime(2026, 3, 2)))  # noqa: DTZ001


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense", "sqlite+nothing"])
def test_other_databases_are_refused(url: str):
    with pytest.raises(ConfigurationError, match="VITA_DATABASE_URL"):
        database_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_postgresql_gets_its_one_driver(scheme: str):
    assert database_url(f"{scheme}://u@h/d").drivername == "postgresql+psycopg"


def test_migrations_go_up_and_down_and_match_the_tables(tmp_path: Path):
    url = database_url(f"sqlite:///{tmp_path / 'new' / 'calls.db'}")
    assert migrate.current(url) == ""
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head() != ""
    engine = sync_engine(url)
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_object": migrate.is_described}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Table.metadata) == []
        connection.rollback()
    migrate.downgrade(url, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(url)
    assert set(Table.metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


async def test_two_starts_at_once_migrate_once(tmp_path: Path):
    url = database_url(f"sqlite:///{tmp_path / 'calls.db'}")
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(asyncio.to_thread(migrate.upgrade, url))
    engine = sync_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    engine.dispose()


def test_an_unknown_revision_is_one_sentence(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="nope"):
        migrate.upgrade(database_url(f"sqlite:///{tmp_path / 'calls.db'}"), "nope")


def test_a_database_out_of_reach_is_one_sentence():
    url = database_url("postgresql://user:secret@127.0.0.1:1/none?connect_timeout=2")
    with pytest.raises(ConfigurationError, match="cannot be reached") as caught:
        migrate.current(url)
    assert "secret" not in str(caught.value)
