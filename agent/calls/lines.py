"""The applied lines in the database: what would change, what changes, and every version before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from agent.calls.line import Line
from agent.calls.line_plan import LinePlan, compare, revision
from agent.clock import Clock
from agent.errors import ConfigurationError, VitaError
from agent.store.engine import Database
from agent.store.tables import AppliedLineRow, LineConfigRow
from agent.store.unit_of_work import reading, writing


class LinesChangedError(VitaError):
    """The applied lines are not those a plan was made for."""

    code = "lines_changed"
    http_status = 409


class NoSuchVersionError(VitaError):
    """A line has no such version."""

    code = "no_such_version"
    http_status = 404


@dataclass(frozen=True, slots=True)
class AppliedLine:
    """A line that counts, with who applied it and when."""

    entry: str
    version: int
    since: datetime
    by: str
    snapshot: Mapping[str, Any]

    def line(self) -> Line:
        """The configuration.

        Raises:
            ConfigurationError: It was stored by a program that knows other keys.
        """
        try:
            return Line.model_validate(self.snapshot)
        except ValidationError as error:
            raise ConfigurationError(
                f"Version {self.version} of the line {self.entry} has keys this program does not "
                "know: apply it again, or update the program."
            ) from error


@dataclass(frozen=True, slots=True)
class LineVersion:
    """One version of a line; `applied` on the one that counts now."""

    entry: str
    version: int
    created_at: datetime
    created_by: str
    applied: bool
    snapshot: Mapping[str, Any]


class LineCatalog:
    """Plans, applies and remembers lines. For people and doors, never on the path of a call.

    A set of lines is applied as a whole: lines that are not in it are removed. Whoever applies at
    the same time as somebody else waits, and is then told when the plan no longer holds.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def applied(self) -> list[AppliedLine]:
        """The lines that count, by entry."""
        async with reading(self._database) as db:
            return await _applied(db)

    async def revision(self) -> str:
        """Changes whenever other lines count. Cheap."""
        async with reading(self._database) as db:
            return await _revision(db)

    async def plan(self, lines: Sequence[Line]) -> LinePlan:
        """What `apply` would change."""
        async with reading(self._database) as db:
            return await _plan(db, lines)

    async def apply(self, lines: Sequence[Line], *, by: str, base: str | None = None) -> LinePlan:
        """Make these lines the ones that count, from the next call on.

        Args:
            lines: The whole set, checked.
            by: Who applies them; for people to read.
            base: `LinePlan.base` of the plan that was agreed to; None takes any state.

        Returns:
            What was changed.

        Raises:
            LinesChangedError: Other lines count by now than those of `base`.
        """
        async with writing(self._database) as db:
            await _alone(db)
            plan = await _plan(db, lines)
            if base is not None and base != plan.base:
                raise LinesChangedError(
                    "Somebody applied other lines meanwhile: look at the plan again."
                )
            by_entry = {line.entry: line for line in lines}
            for change in plan.changes:
                version = None
                if change.kind != "remove":
                    version = await self._keep(db, by_entry[change.entry], by)
                await self._point(db, change.entry, version, by)
            return plan

    async def versions(self, entry: str) -> list[LineVersion]:
        """All versions of a line, newest first; also of one that was removed."""
        query = (
            select(LineConfigRow, AppliedLineRow.version)
            .outerjoin(AppliedLineRow, AppliedLineRow.entry == LineConfigRow.entry)
            .where(LineConfigRow.entry == entry)
            .order_by(LineConfigRow.version.desc())
        )
        async with reading(self._database) as db:
            rows = (await db.execute(query)).all()
        return [
            LineVersion(
                entry=row.entry,
                version=row.version,
                created_at=row.created_at,
                created_by=row.created_by,
                applied=row.version == applied,
                snapshot=row.snapshot,
            )
            for row, applied in rows
        ]

    async def rollback(self, entry: str, version: int, *, by: str) -> Line:
        """Make an earlier version of one line count again, also of a line that was removed.

        Raises:
            NoSuchVersionError: The line has no such version.
            ConfigurationError: That version cannot be used here, or another line has its call page.
        """
        async with writing(self._database) as db:
            await _alone(db)
            query = select(LineConfigRow).filter_by(entry=entry, version=version)
            row = await db.scalar(query)
            if row is None:
                raise NoSuchVersionError(
                    f"The line {entry} has no version {version}: `vita lines versions` shows them."
                )
            line = AppliedLine(entry, version, row.created_at, by, row.snapshot).line()
            for other in await _applied(db):
                if other.entry != entry and line.web and other.snapshot.get("web") == line.web:
                    raise ConfigurationError(
                        f"The line {other.entry} has the call page {line.web}."
                    )
            await self._point(db, entry, version, by)
            return line

    async def _keep(self, db: AsyncSession, line: Line, by: str) -> int:
        newest = await db.scalar(
            select(func.max(LineConfigRow.version)).where(LineConfigRow.entry == line.entry)
        )
        version = (newest or 0) + 1
        db.add(
            LineConfigRow(
                entry=line.entry,
                version=version,
                hash=line.version(),
                snapshot=line.model_dump(mode="json"),
                created_at=self._clock.now(),
                created_by=by,
            )
        )
        return version

    async def _point(self, db: AsyncSession, entry: str, version: int | None, by: str) -> None:
        row = await db.get(AppliedLineRow, entry)
        if row is None:
            row = AppliedLineRow(entry=entry)
            db.add(row)
        row.version, row.changed_at, row.changed_by = version, self._clock.now(), by


async def _alone(db: AsyncSession) -> None:
    """One writer at a time. SQLite has it from `BEGIN IMMEDIATE`.

    On PostgreSQL the lock comes before the first query: it takes no snapshot, so what is read
    after it is what the writer before has left.
    """
    if db.get_bind().dialect.name == "postgresql":
        await db.execute(text("LOCK TABLE applied_lines IN SHARE ROW EXCLUSIVE MODE"))


async def _plan(db: AsyncSession, lines: Sequence[Line]) -> LinePlan:
    applied = await _applied(db)
    base = revision({each.entry: each.version for each in applied})
    return compare({each.entry: each.snapshot for each in applied}, lines, base=base)


async def _revision(db: AsyncSession) -> str:
    query = select(AppliedLineRow.entry, AppliedLineRow.version)
    rows = (await db.execute(query.where(AppliedLineRow.version.is_not(None)))).all()
    return revision({entry: version or 0 for entry, version in rows})


async def _applied(db: AsyncSession) -> list[AppliedLine]:
    same = and_(
        LineConfigRow.entry == AppliedLineRow.entry,
        LineConfigRow.version == AppliedLineRow.version,
    )
    query = select(AppliedLineRow, LineConfigRow).join(LineConfigRow, same)
    rows = (await db.execute(query.order_by(AppliedLineRow.entry))).all()
    return [
        AppliedLine(row.entry, config.version, row.changed_at, row.changed_by, config.snapshot)
        for row, config in rows
    ]
