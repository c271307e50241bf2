"""Figures over a stretch of time: how many calls, how they ended, how fast the answers came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from agent.errors import InvalidRequestError
from agent.store.engine import Database
from agent.store.tables import CallEventRow, CallRow, ToolInvocationRow
from agent.supervisor.access import Actor
from agent.supervisor.transactions import reading

LONGEST_RANGE = timedelta(days=92)
MOST_ROWS = 100_000
"""Of each kind; beyond it the newest are counted, and the figures say so."""


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
        complete: False when there was more than could be counted.
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
    complete: bool


class StatisticsDesk:
    """Counts. Needs `read`."""

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
        calls: Any = select(
            CallRow.started_at, CallRow.answered_at, CallRow.ended_at, CallRow.end_reason
        ).where(*within)
        turns: Any = (
            select(CallEventRow.payload["latency_ms"].as_integer())
            .join(CallRow, CallRow.id == CallEventRow.call_id)
            .where(CallEventRow.kind == "turn", CallEventRow.at >= since, *within)
        )
        tools: Any = (
            select(ToolInvocationRow.tool, ToolInvocationRow.status, ToolInvocationRow.duration_ms)
            .join(CallRow, CallRow.id == ToolInvocationRow.call_id)
            .where(*within)
        )
        async with reading(self._database) as db:
            found = [
                (await db.execute(query.order_by(newest.desc()).limit(MOST_ROWS))).all()
                for query, newest in (
                    (calls, CallRow.started_at),
                    (turns, CallEventRow.at),
                    (tools, ToolInvocationRow.started_at),
                )
            ]
        rows, latencies, uses = found
        durations = [
            round((ended - answered).total_seconds() * 1000)
            for _, answered, ended, _ in rows
            if answered and ended
        ]
        outcomes = Counter(reason or "running" for *_, reason in rows)
        return Statistics(
            since=since,
            until=until,
            line=line,
            calls=len(rows),
            answered=sum(answered is not None for _, answered, *_ in rows),
            hours=_hours(since, until, (started for started, *_ in rows)),
            outcomes=dict(outcomes.most_common()),
            latency_ms=percentiles([row[0] for row in latencies]),
            duration_ms=percentiles(durations),
            tools=_tools(uses),
            complete=all(len(each) < MOST_ROWS for each in found),
        )


def percentiles(values: Sequence[int]) -> Percentiles:
    """By the nearest rank: each is one of the values."""
    ordered = sorted(values)

    def at(share: int) -> int | None:
        return ordered[-(-len(ordered) * share // 100) - 1] if ordered else None

    return Percentiles(len(ordered), at(50), at(90), at(99))


def _hours(since: datetime, until: datetime, started: Iterable[datetime]) -> list[HourCount]:
    first = since.replace(minute=0, second=0, microsecond=0)
    counts = Counter(int((at - first) / timedelta(hours=1)) for at in started)
    total = -((first - until) // timedelta(hours=1))
    return [HourCount(first + timedelta(hours=n), counts[n]) for n in range(total)]


def _tools(uses: Iterable[Any]) -> list[ToolUse]:
    by_tool: dict[str, list[tuple[str, int | None]]] = {}
    for tool, status, duration_ms in uses:
        by_tool.setdefault(tool, []).append((status, duration_ms))
    found = []
    for tool, each in by_tool.items():
        times = [ms for _, ms in each if ms is not None]
        failed = sum(status in ("failed", "crashed", "timed_out", "unknown") for status, _ in each)
        mean = round(sum(times) / len(times)) if times else None
        found.append(ToolUse(tool, len(each), failed, mean))
    return sorted(found, key=lambda use: (-use.calls, use.tool))
