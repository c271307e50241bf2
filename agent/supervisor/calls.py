"""The archive: lists of calls and what happened in each, masked unless it is revealed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.calls.repository import CallRecord, CallRepository
from agent.errors import NotFoundError
from agent.store.engine import Database
from agent.store.supervisor_tables import NoteRow, ReviewRow
from agent.store.tables import CallRow, ToolInvocationRow, UtteranceRow
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.cursor import SIZE, cursor, page_size, read_cursor
from agent.supervisor.search import contains
from agent.supervisor.transactions import reading
from agent.supervisor.views import (
    CallDetails,
    CallFilter,
    CallSummary,
    EventView,
    Page,
    RecordingView,
    StillView,
    ToolCallView,
    TurnView,
    UtteranceView,
)
from agent.transcripts.folding import parse_query
from agent.transcripts.redact import mask_number, redact_json, redact_payload, redact_turns

NOTHING = CallFilter()


@dataclass(frozen=True, slots=True)
class _About:
    """What is known of a call beside its own row."""

    tools: Sequence[str]
    flagged: bool
    score: float | None


class CallArchive:
    """Questions about calls. Every method needs `read`; `reveal=True` needs that too, and is kept."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._calls = CallRepository(database)

    async def list(
        self,
        actor: Actor,
        which: CallFilter = NOTHING,
        *,
        limit: int = SIZE,
        cursor_after: str | None = None,
        reveal: bool = False,
    ) -> Page[CallSummary]:
        """Calls, newest first.

        Raises:
            PermissionDeniedError: The actor may not.
            InvalidRequestError: The cursor is none of ours.
            CallLogUnavailableError: The database is away.
        """
        actor.need("read")
        if reveal or which.caller:
            actor.need("reveal")
            await self._audit.record(actor, "calls.reveal", "calls")
        size = page_size(limit)
        query = select(CallRow).order_by(CallRow.started_at.desc(), CallRow.id.desc())
        if cursor_after is not None:
            at, key = read_cursor(cursor_after)
            same = and_(CallRow.started_at == at, CallRow.id < key)
            query = query.where(or_(CallRow.started_at < at, same))
        async with reading(self._database) as db:
            query = _filtered(db, query, which).limit(size + 1)
            rows = (await db.scalars(query)).all()
            about = await _about(db, [row.id for row in rows[:size]])
        items = [_summary(row, about[row.id], reveal=reveal) for row in rows[:size]]
        last = rows[size - 1] if len(rows) > size else None
        return Page(items, cursor(last.started_at, last.id) if last else None)

    async def get(self, actor: Actor, call_id: str, *, reveal: bool = False) -> CallDetails:
        """One call.

        Raises:
            PermissionDeniedError: The actor may not.
            NotFoundError: The log has no such call.
            CallLogUnavailableError: The database is away.
        """
        record, about = await self._open(actor, call_id, reveal=reveal)
        # Masking takes its time, and the loop may have calls to serve.
        return await asyncio.to_thread(_details, record, about, reveal=reveal)

    async def events(
        self, actor: Actor, call_id: str, *, reveal: bool = False
    ) -> Sequence[EventView]:
        """A call's journal.

        Raises:
            PermissionDeniedError: The actor may not.
            NotFoundError: The log has no such call.
            CallLogUnavailableError: The database is away.
        """
        record, _ = await self._open(actor, call_id, reveal=reveal)
        return await asyncio.to_thread(_events, record, reveal=reveal)

    async def reveal_caller(self, actor: Actor, call_id: str) -> str:
        """The other side's number as it is; that somebody looked is kept.

        Raises:
            PermissionDeniedError: The actor may not `reveal`.
            NotFoundError: The log has no such call.
        """
        record, _ = await self._open(actor, call_id, reveal=True)
        return record.call.pii_from_number or ""

    async def _open(self, actor: Actor, call_id: str, *, reveal: bool) -> tuple[CallRecord, _About]:
        actor.need("read")
        if reveal:
            actor.need("reveal")
        async with reading(self._database) as db:
            about = (await _about(db, [call_id]))[call_id]
        record = await self._calls.get_call(call_id)
        if record is None:
            raise NotFoundError(f"There is no call {call_id}.")
        if reveal:
            await self._audit.record(actor, "call.reveal", f"call/{call_id}")
        return record, about


def _filtered(db: AsyncSession, query: Select[CallRow], which: CallFilter) -> Select[CallRow]:
    wanted: list[ColumnElement[bool]] = []
    columns = {
        CallRow.to_number: which.line,
        CallRow.state: which.state,
        CallRow.end_reason: which.outcome,
        CallRow.pii_from_number: which.caller,
    }
    wanted += [column == value for column, value in columns.items() if value]
    if which.since is not None:
        wanted.append(CallRow.started_at >= which.since)
    if which.until is not None:
        wanted.append(CallRow.started_at < which.until)
    if which.tool:
        used = ToolInvocationRow.call_id == CallRow.id
        wanted.append(exists().where(used, ToolInvocationRow.tool == which.tool))
    if which.flagged is not None:
        flagged = exists().where(NoteRow.call_id == CallRow.id, NoteRow.flag.is_(True))
        wanted.append(flagged if which.flagged else ~flagged)
    if which.text:
        said = contains(db, parse_query(which.text))
        wanted.append(CallRow.id.in_(select(UtteranceRow.call_id).where(said)))
    return query.where(*wanted)


async def _about(db: AsyncSession, call_ids: Sequence[str]) -> dict[str, _About]:
    tools: dict[str, list[str]] = {}
    used = (
        select(ToolInvocationRow.call_id, ToolInvocationRow.tool)
        .where(ToolInvocationRow.call_id.in_(call_ids))
        .order_by(ToolInvocationRow.seq)
    )
    for call_id, tool in await db.execute(used):
        if tool not in tools.setdefault(call_id, []):
            tools[call_id].append(tool)
    flags = select(NoteRow.call_id).where(NoteRow.call_id.in_(call_ids), NoteRow.flag.is_(True))
    flagged = set(await db.scalars(flags))
    scores: dict[str, float] = {}
    means = (
        select(ReviewRow.call_id, func.avg(ReviewRow.total))
        .where(ReviewRow.call_id.in_(call_ids))
        .group_by(ReviewRow.call_id)
    )
    for call_id, mean in await db.execute(means):
        scores[call_id] = round(float(mean), 1)
    return {
        call_id: _About(tools.get(call_id, ()), call_id in flagged, scores.get(call_id))
        for call_id in call_ids
    }


def _summary(row: CallRow, about: _About, *, reveal: bool) -> CallSummary:
    caller = row.pii_from_number or ""
    return CallSummary(
        id=row.id,
        line=row.to_number or "",
        business=row.business or "",
        direction=row.direction or "",
        caller=caller if reveal else mask_number(caller),
        state=row.state,
        outcome=row.end_reason,
        started_at=row.started_at,
        answered_at=row.answered_at,
        ended_at=row.ended_at,
        duration_ms=_ms(row.answered_at, row.ended_at),
        tools=about.tools,
        flagged=about.flagged,
        score=about.score,
    )


def _details(record: CallRecord, about: _About, *, reveal: bool) -> CallDetails:
    return CallDetails(
        summary=_summary(record.call, about, reveal=reveal),
        utterances=_utterances(record, reveal=reveal),
        tools=_tools(record, reveal=reveal),
        turns=_turns(record),
        recordings=[
            RecordingView(number, row.sha256, row.bytes, row.duration_ms, row.at)
            for number, row in enumerate(record.recordings)
        ],
        stills=_stills(record),
        revealed=reveal,
    )


def _events(record: CallRecord, *, reveal: bool) -> list[EventView]:
    return [
        EventView(
            event.seq,
            event.kind,
            event.at,
            event.payload if reveal else redact_payload(event.payload),
        )
        for event in record.events
    ]


def _utterances(record: CallRecord, *, reveal: bool) -> list[UtteranceView]:
    rows = record.utterances
    texts = [row.pii_text for row in rows]
    heard = [row.pii_heard or "" for row in rows]
    if not reveal:
        texts = redact_turns([(row.role, text) for row, text in zip(rows, texts, strict=True)])
        heard = redact_turns([(row.role, text) for row, text in zip(rows, heard, strict=True)])
    return [
        UtteranceView(
            seq=row.seq,
            role=row.role,
            text=text,
            heard=part if row.interrupted else None,
            start_ms=row.start_ms,
            end_ms=row.end_ms,
            interrupted=row.interrupted,
            at=row.at,
        )
        for row, text, part in zip(rows, texts, heard, strict=True)
    ]


def _tools(record: CallRecord, *, reveal: bool) -> list[ToolCallView]:
    def shown(text: str) -> str:
        return text if reveal else redact_json(text)

    return [
        ToolCallView(
            seq=row.seq,
            tool=row.tool,
            status=row.status,
            arguments=shown(row.pii_arguments),
            result=None if row.pii_result is None else shown(row.pii_result),
            started_at=row.started_at,
            at_ms=_ms(record.call.answered_at, row.started_at) or 0,
            duration_ms=row.duration_ms,
        )
        for row in record.tools
    ]


def _turns(record: CallRecord) -> list[TurnView]:
    return [
        TurnView(
            seq=event.seq,
            at_ms=_ms(record.call.answered_at, event.at) or 0,
            latency_ms=int(event.payload["latency_ms"]),
        )
        for event in record.events
        if event.kind == "turn"
    ]


def _stills(record: CallRecord) -> list[StillView]:
    return [
        StillView(number, row.at_ms, row.sha256, row.bytes, row.width, row.height)
        for number, row in enumerate(record.stills)
    ]


def _ms(start: datetime | None, end: datetime | None) -> int | None:
    if start is None or end is None:
        return None
    return max(round((end - start).total_seconds() * 1000), 0)
