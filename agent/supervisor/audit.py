"""The audit log: who did what to which thing, in a chain that shows what was changed later.

Details hold no personal data: ids, counts, roles. The hash of a row covers the hash of the row
before it, so a row that is changed or taken out breaks the chain from there on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from agent.clock import Clock
from agent.errors import InvalidRequestError
from agent.store.engine import Database
from agent.store.supervisor_tables import AuditRow
from agent.supervisor.access import Actor
from agent.supervisor.transactions import reading, writing
from agent.supervisor.views import Page

FIRST = "0" * 64
CHAIN_LOCK = 0x76697462
LONGEST_PAGE = 200
_CHECK_BATCH = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing somebody did. `object` is such as `call/ID`."""

    seq: int
    at: datetime
    actor_kind: str
    actor_id: str
    action: str
    object: str
    ip: str
    details: Mapping[str, Any]


class AuditLog:
    """Adds entries, in the transaction of what they are about, and reads them back."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self,
        db: AsyncSession,
        actor: Actor,
        action: str,
        about: str,
        details: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Add an entry to an open writing transaction; it counts when that is committed."""
        if db.get_bind().dialect.name == "postgresql":
            # Two writers at once would continue the chain from the same row.
            await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
        last = await db.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))
        row = AuditRow(
            seq=last.seq + 1 if last else 1,
            at=self._clock.now(),
            actor_kind=actor.kind,
            actor_id=actor.id,
            action=action,
            object=about,
            pii_ip=actor.ip,
            details=dict(details),
            previous=last.hash if last else FIRST,
        )
        row.hash = _hash(row)
        db.add(row)
        await db.flush()

    async def record(
        self,
        actor: Actor,
        action: str,
        about: str,
        details: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Add an entry in a transaction of its own."""
        async with writing(self._database) as db:
            await self.add(db, actor, action, about, details)

    async def list(
        self,
        actor: Actor,
        *,
        about: str = "",
        action: str = "",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """Entries, newest first.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            InvalidRequestError: The cursor is none of ours.
        """
        actor.need("manage")
        query = select(AuditRow).order_by(AuditRow.seq.desc())
        if about:
            query = query.where(AuditRow.object == about)
        if action:
            query = query.where(AuditRow.action == action)
        if cursor is not None:
            if not cursor.isdecimal():
                raise InvalidRequestError("This cursor is unknown: start without one.")
            query = query.where(AuditRow.seq < int(cursor))
        size = max(1, min(limit, LONGEST_PAGE))
        async with reading(self._database) as db:
            rows = (await db.scalars(query.limit(size + 1))).all()
        page = rows[:size]
        return Page(
            [
                AuditEntry(
                    row.seq,
                    row.at,
                    row.actor_kind,
                    row.actor_id,
                    row.action,
                    row.object,
                    row.pii_ip,
                    row.details,
                )
                for row in page
            ],
            str(page[-1].seq) if len(rows) > size else None,
        )

    async def broken_at(self) -> int | None:
        """Number of the first entry that does not follow from the one before; None when all do."""
        previous, seq = FIRST, 0
        async with reading(self._database) as db:
            while True:
                query = select(AuditRow).where(AuditRow.seq > seq).order_by(AuditRow.seq)
                rows: Sequence[AuditRow] = (await db.scalars(query.limit(_CHECK_BATCH))).all()
                for row in rows:
                    if row.seq != seq + 1 or row.previous != previous or row.hash != _hash(row):
                        return seq + 1
                    previous, seq = row.hash, row.seq
                if len(rows) < _CHECK_BATCH:
                    return None


def _hash(row: AuditRow) -> str:
    content = [
        row.seq,
        row.at.isoformat(),
        row.actor_kind,
        row.actor_id,
        row.action,
        row.object,
        row.pii_ip,
        row.details,
        row.previous,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
