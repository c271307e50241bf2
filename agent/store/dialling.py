"""Who may be called: the do-not-call list, consents given, and calls placed. Numbers as hashes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from agent.errors import VitaError
from agent.store.engine import Database
from agent.store.tables import ConsentRow, DialAttemptRow, DoNotCallRow
from agent.store.unit_of_work import reading, writing


class DiallingBookError(VitaError):
    """The database does not say who may be called, so nobody is."""

    code = "call_log_unavailable"
    http_status = 503


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call about to be placed.

    Attributes:
        number_hash: Hash of the called number.
        line: Entry of the line that calls.
        day: The called person's day.
        at: When.
        purpose: Why, in the words of whoever asked for it.
        consent: What shows that the person agreed.
    """

    number_hash: str
    line: str
    day: date
    at: datetime
    purpose: str
    consent: str


class DiallingBook:
    """Asks and writes directly: a call that nobody may place must not depend on a queue.

    All methods raise `DiallingBookError` when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_listed(self, number_hash: str) -> bool:
        """Whether this person asked not to be called."""
        query = select(DoNotCallRow.id).where(DoNotCallRow.number_hash == number_hash)
        async with self._reading() as db:
            return (await db.scalar(query)) is not None

    async def list_number(self, number_hash: str, at: datetime, reason: str) -> None:
        """Put a number on the do-not-call list; one that is there stays."""
        try:
            async with self._writing() as db:
                db.add(DoNotCallRow(number_hash=number_hash, at=at, reason=reason))
        except IntegrityError:
            return

    async def unlist_number(self, number_hash: str) -> bool:
        """Take a number off the list. False: it was not on it."""
        async with self._writing() as db:
            gone = await db.execute(
                delete(DoNotCallRow)
                .where(DoNotCallRow.number_hash == number_hash)
                .returning(DoNotCallRow.id)
            )
            return gone.first() is not None

    async def consent_of(self, number_hash: str, line: str) -> str:
        """The newest reference that shows this person's consent to calls of this line; or empty."""
        query = (
            select(ConsentRow.reference)
            .where(ConsentRow.number_hash == number_hash, ConsentRow.line == line)
            .order_by(ConsentRow.at.desc())
            .limit(1)
        )
        async with self._reading() as db:
            return await db.scalar(query) or ""

    async def begin(self, attempt: Attempt, limit: int) -> int | None:
        """Note a call before it is placed; returns its number, or None when the day has no more.

        Two processes that ask at once cannot both get the last one.
        """
        placed = select(func.count()).where(
            DialAttemptRow.number_hash == attempt.number_hash, DialAttemptRow.day == attempt.day
        )
        try:
            async with self._writing() as db:
                count = await db.scalar(placed) or 0
                if count >= limit:
                    return None
                row = DialAttemptRow(
                    number_hash=attempt.number_hash,
                    day=attempt.day,
                    count=count + 1,
                    line=attempt.line,
                    at=attempt.at,
                    purpose=attempt.purpose,
                    consent=attempt.consent,
                    state="placing",
                )
                db.add(row)
                await db.flush()
                return row.id
        except IntegrityError:
            return None

    async def settle(self, attempt: int, state: str, call_id: str = "") -> None:
        """Note what came of an attempt: `placed`, or `refused` by the carrier."""
        async with self._writing() as db:
            await db.execute(
                update(DialAttemptRow)
                .where(DialAttemptRow.id == attempt)
                .values(state=state, call_id=call_id)
            )

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        try:
            async with reading(self._database) as db:
                yield db
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with writing(self._database) as db:
                yield db
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error


def _unavailable() -> DiallingBookError:
    return DiallingBookError(
        "The database does not answer, so nobody knows who may be called: try again later."
    )
