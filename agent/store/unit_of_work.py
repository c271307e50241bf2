"""One piece of work on the call log is one transaction.

Code inside never commits: `writing` does when the block ends well, and rolls back otherwise. A
session belongs to the task that opened it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from agent.store.engine import Database


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[AsyncSession]:
    """A session whose work is committed as a whole or not at all."""
    async with AsyncSession(database.writer, expire_on_commit=False) as db, db.begin():
        yield db


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[AsyncSession]:
    """A session that sees one moment of the database and cannot write."""
    async with AsyncSession(database.reader, expire_on_commit=False) as db:
        yield db
