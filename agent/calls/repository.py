"""Reads calls back from the call log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.store.engine import Database
from agent.store.tables import (
    CallEventRow,
    CallRow,
    LineVersionRow,
    RecordingRow,
    StillRow,
    ToolInvocationRow,
    UtteranceRow,
)
from agent.store.unit_of_work import reading

LONGEST_PAGE = 200

Row = TypeVar("Row", CallEventRow, UtteranceRow, ToolInvocationRow, RecordingRow, StillRow)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call with all that happened in it, each list in the order it happened."""

    call: CallRow
    line: LineVersionRow | None
    events: Sequence[CallEventRow]
    utterances: Sequence[UtteranceRow]
    tools: Sequence[ToolInvocationRow]
    recordings: Sequence[RecordingRow]
    stills: Sequence[StillRow]


class CallRepository:
    """Questions to the call log. What it returns is detached: reading it touches no database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_calls(
        self, *, limit: int = 50, before: datetime | None = None, number: str = ""
    ) -> Sequence[CallRow]:
        """Calls, newest first.

        Args:
            limit: At most this many, up to 200.
            before: Only calls that started earlier; continues a listing.
            number: Only calls to this line, E.164.
        """
        query = select(CallRow).order_by(CallRow.started_at.desc(), CallRow.id)
        if before is not None:
            query = query.where(CallRow.started_at < before)
        if number:
            query = query.where(CallRow.to_number == number)
        async with reading(self._database) as db:
            return (await db.scalars(query.limit(min(limit, LONGEST_PAGE)))).all()

    async def get_call(self, call_id: str) -> CallRecord | None:
        """One call, or None when the log has no such call."""
        async with reading(self._database) as db:
            call = await db.get(CallRow, call_id)
            if call is None:
                return None
            return CallRecord(
                call=call,
                line=await db.get(LineVersionRow, call.line_version_id or ""),
                events=await _of_call(db, CallEventRow, call_id),
                utterances=await _of_call(db, UtteranceRow, call_id),
                tools=await _of_call(db, ToolInvocationRow, call_id),
                recordings=await _of_call(db, RecordingRow, call_id),
                stills=await _of_call(db, StillRow, call_id),
            )


async def _of_call(db: AsyncSession, table: type[Row], call_id: str) -> Sequence[Row]:
    query = select(table).where(table.call_id == call_id).order_by(table.seq)
    return (await db.scalars(query)).all()
