"""Transactions of the service layer: a database that is away becomes one sentence.

PostgreSQL, at the level the call log is written with, fails the second of two transactions that
read the same row and write it. Here a person waits for an answer, so writers take turns instead: a
statement sees what was committed before it, and rows that are changed are locked when read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from agent.errors import CallLogUnavailableError, ConflictError, InvalidRequestError
from agent.store import unit_of_work
from agent.store.engine import Database


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[AsyncSession]:
    """A session whose work is committed as a whole or not at all.

    Raises:
        CallLogUnavailableError: The database is away or busy.
        ConflictError: Somebody made the same thing at the same moment.
    """
    engine = database.writer
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="READ COMMITTED")
    with _sentence():
        async with AsyncSession(engine, expire_on_commit=False) as db, db.begin():
            yield db


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[AsyncSession]:
    """A session that sees one moment of the database and cannot write.

    Raises:
        CallLogUnavailableError: The database is away or busy.
    """
    with _sentence():
        async with unit_of_work.reading(database) as db:
            yield db


@contextmanager
def _sentence() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
        raise CallLogUnavailableError(
            "The call log's database does not answer: try again, and check that it runs."
        ) from error
    except (DataError, OverflowError) as error:
        # A zero character, or a number beyond what any row has.
        raise InvalidRequestError(
            "The database cannot hold what was given: leave out control characters."
        ) from error
    except IntegrityError as error:
        raise ConflictError("This was changed at the same moment: look, and try again.") from error
