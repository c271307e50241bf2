"""Figures over a stretch of time: how many calls, how they ended, how fast the answers came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, case, cast, extract, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.errors import InvalidRequestError
from agent.store.engine import Database
from agent.store.tables import CallEventRow, CallRow, ToolInvocationRow
from agent.supervisor.access import Actor
from agent.supervisor.transactions import reading

LONGEST_RANGE = timedelta(days=92)
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Half, nine tenths and 99 hundredths of `count` values lie at or below these. None: no value."""

    count: int
    p50: int | None
    p90: int | None
    p99: int | None


@dataclass(frozen=True, slots=True)
class HourCount:
    """Calls that started within the hour from `hour` on."""

    hour: datetime
    calls: int


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How often a tool was used, how often it did not end well, and its mean time."""

    tool: str
    calls: int
    failed: int
    mean_ms: int | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures. `hours` has every hour of the range, also those without a call.

    Attributes:
        outcomes: Calls by why they ended, most frequent first; those that run are `running`.
        latency_ms: From the caller's last sound to the first byte of the reply, over all turns.
        duration_ms: From answer to end, over all calls that were answered and have ended.
    """

    since: datetime
    until: datetime
    line: str
    calls: int
    answered: int
    hours: Sequence[HourCount]
    outcomes: Mapping[str, int]
    latency_ms: Percentiles
    duration_ms: Percentiles
    tools: Sequence[ToolUse]


class StatisticsDesk:
    """Counts. Needs `read`.

    The database does the counting: the process that answers may be one that serves calls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def between(
        self, actor: Actor, since: datetime, until: datetime, *, line: str = ""
    ) -> Statistics:
        """Figures of the calls that started from `since` up to, not including, `until`.

        Raises:
            PermissionDeniedError: The actor may not.
            InvalidRequestError: The range is empty, or longer than 92 days.
            CallLogUnavailableError: The database is away.
        """
        actor.need("read")
        if not timedelta() < until - since <= LONGEST_RANGE:
            raise InvalidRequestError(f"The range must be 1 second to {LONGEST_RANGE.days} days.")
        within = [CallRow.started_at >= since, CallRow.started_at < until]
        if line:
            within.append(CallRow.to_number == line)
        async with reading(self._database) as db:
            # Two counts in one: of all calls, and of those that were answered.
            totals = select(func.count(), func.count(CallRow.answered_at)).where(*within)
            calls, answered = (await db.execute(totals)).one()
            return Statistics(
                since=since,
                until=until,
                line=line,
                calls=calls,
                answered=answered,
                hours=await _hours(db, since, until, within),
                outcomes=await _outcomes(db, within),
                latency_ms=await _percentiles(db, _latencies(since, within)),
                duration_ms=await _percentiles(db, _durations(db, within)),
                tools=await _tools(db, within),
            )


Conditions = Sequence[ColumnElement[bool]]


async def _hours(
    db: AsyncSession, since: datetime, until: datetime, within: Conditions
) -> list[HourCount]:
    first = since.replace(minute=0, second=0, microsecond=0)
    hour = (_seconds(db, CallRow.started_at) - int(first.timestamp())) // HOUR_S
    query = select(hour, func.count()).where(*within).group_by(hour)
    counts = {int(index): count for index, count in await db.execute(query)}
    total = -((first - until) // timedelta(hours=1))
    return [HourCount(first + timedelta(hours=n), counts.get(n, 0)) for n in range(total)]


async def _outcomes(db: AsyncSession, within: Conditions) -> dict[str, int]:
    query = select(CallRow.end_reason, func.count()).where(*within).group_by(CallRow.end_reason)
    found = sorted(await db.execute(query), key=lambda row: (-row[1], row[0]))
    return {reason or "running": count for reason, count in found}


def _latencies(since: datetime, within: Conditions) -> Select[Any]:
    value = CallEventRow.payload["latency_ms"].as_integer().label("value")
    return (
        select(value)
        .join(CallRow, CallRow.id == CallEventRow.call_id)
        .where(CallEventRow.kind == "turn", CallEventRow.at >= since, *within)
    )


def _durations(db: AsyncSession, within: Conditions) -> Select[Any]:
    ended, answered = (_millis(db, at) for at in (CallRow.ended_at, CallRow.answered_at))
    both = (CallRow.ended_at.is_not(None), CallRow.answered_at.is_not(None))
    return select((ended - answered).label("value")).where(*within, *both)


async def _percentiles(db: AsyncSession, values: Select[Any]) -> Percentiles:
    """By the nearest rank: each is one of the values."""
    given = values.subquery()
    count = await db.scalar(select(func.count()).select_from(given)) or 0

    async def at(share: int) -> int | None:
        if not count:
            return None
        rank = -(-count * share // 100) - 1
        query = select(given.c.value).order_by(given.c.value).offset(rank).limit(1)
        return await db.scalar(query)

    return Percentiles(count, await at(50), await at(90), await at(99))


async def _tools(db: AsyncSession, within: Conditions) -> list[ToolUse]:
    bad = ToolInvocationRow.status.in_(("failed", "timed_out"))
    query = (
        select(
            ToolInvocationRow.tool,
            func.count(),
            func.sum(case((bad, 1), else_=0)),
            func.avg(ToolInvocationRow.duration_ms),
        )
        .join(CallRow, CallRow.id == ToolInvocationRow.call_id)
        .where(*within)
        .group_by(ToolInvocationRow.tool)
    )
    found = [
        ToolUse(tool, calls, int(failed), None if mean is None else round(float(mean)))
        for tool, calls, failed, mean in await db.execute(query)
    ]
    return sorted(found, key=lambda use: (-use.calls, use.tool))


def _seconds(db: AsyncSession, at: Any) -> ColumnElement[int]:
    """Whole seconds since 1970."""
    if db.get_bind().dialect.name == "postgresql":
        return cast(func.floor(extract("epoch", at)), Integer)
    return cast(func.strftime("%s", at), Integer)


def _millis(db: AsyncSession, at: Any) -> ColumnElement[int]:
    """Milliseconds since some day; what is compared is from the same one."""
    if db.get_bind().dialect.name == "postgresql":
        return cast(func.round(extract("epoch", at) * 1000), BigInteger)
    whole = cast(func.strftime("%s", at), Integer) * 1000
    return whole + cast(func.substr(func.strftime("%f", at), 4, 3), Integer)
