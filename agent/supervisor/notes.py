"""Notes of supervisors on a call, or on a moment of it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.clock import Clock
from agent.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from agent.store.engine import Database
from agent.store.supervisor_tables import NoteRow
from agent.store.tables import CallRow
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.transactions import reading, writing

LONGEST_NOTE = 4000


@dataclass(frozen=True, slots=True)
class Note:
    """A remark. `start_ms` is the moment it is about, None for the whole call; `flag` marks it."""

    id: str
    call_id: str
    start_ms: int | None
    text: str
    flag: bool
    author: str
    author_id: str
    created_at: datetime
    edited_at: datetime | None


class Notes:
    """Writes, lists, changes and deletes notes; the last two only of one's own, or as admin."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def add(
        self,
        actor: Actor,
        call_id: str,
        text: str,
        *,
        start_ms: int | None = None,
        flag: bool = False,
    ) -> Note:
        """Write a note.

        Raises:
            PermissionDeniedError: The actor may not `annotate`.
            NotFoundError: The log has no such call.
            InvalidRequestError: The text is empty or too long, or the moment negative.
        """
        actor.need("annotate")
        said = _checked(text, flag=flag)
        if start_ms is not None and not 0 <= start_ms < 2**31:
            raise InvalidRequestError("The moment of a note is 0 or more milliseconds.")
        row = NoteRow(
            id=secrets.token_hex(16),
            call_id=call_id,
            start_ms=start_ms,
            pii_text=said,
            flag=flag,
            author_id=actor.id,
            author=actor.name,
            created_at=self._clock.now(),
        )
        async with writing(self._database) as db:
            await must_exist(db, call_id)
            db.add(row)
            await self._audit.add(db, actor, "note.add", f"call/{call_id}", {"note": row.id})
        return _note(row)

    async def list(self, actor: Actor, call_id: str) -> Sequence[Note]:
        """A call's notes: those on the whole call, then by their moment.

        Raises:
            PermissionDeniedError: The actor may not `read`.
            NotFoundError: The log has no such call.
        """
        actor.need("read")
        async with reading(self._database) as db:
            await must_exist(db, call_id)
            rows = await db.scalars(
                select(NoteRow)
                .where(NoteRow.call_id == call_id)
                .order_by(NoteRow.start_ms.nulls_first(), NoteRow.created_at, NoteRow.id)
            )
            return [_note(row) for row in rows]

    async def edit(
        self, actor: Actor, note_id: str, *, text: str | None = None, flag: bool | None = None
    ) -> Note:
        """Change a note.

        Raises:
            PermissionDeniedError: It is somebody else's, and the actor is no admin.
            NotFoundError: There is no such note.
            InvalidRequestError: The text is empty or too long.
        """
        actor.need("annotate")
        async with writing(self._database) as db:
            row = await _own(db, actor, note_id)
            row.flag = row.flag if flag is None else flag
            row.pii_text = _checked(row.pii_text if text is None else text, flag=row.flag)
            row.edited_at = self._clock.now()
            await self._audit.add(db, actor, "note.edit", f"call/{row.call_id}", {"note": note_id})
        return _note(row)

    async def delete(self, actor: Actor, note_id: str) -> None:
        """Take a note away.

        Raises:
            PermissionDeniedError: It is somebody else's, and the actor is no admin.
            NotFoundError: There is no such note.
        """
        actor.need("annotate")
        async with writing(self._database) as db:
            row = await _own(db, actor, note_id)
            await db.delete(row)
            about = f"call/{row.call_id}"
            await self._audit.add(db, actor, "note.delete", about, {"note": note_id})


async def must_exist(db: AsyncSession, call_id: str) -> None:
    """Go on only with a call that the log has.

    Raises:
        NotFoundError: It has no such call.
    """
    if await db.get(CallRow, call_id) is None:
        raise NotFoundError(f"There is no call {call_id}.")


def _checked(text: str, *, flag: bool) -> str:
    said = text.strip()
    if len(said) > LONGEST_NOTE or not (said or flag):
        raise InvalidRequestError(f"A note has 1 to {LONGEST_NOTE} characters.")
    return said


async def _own(db: AsyncSession, actor: Actor, note_id: str) -> NoteRow:
    row = await db.get(NoteRow, note_id, with_for_update=True)
    if row is None:
        raise NotFoundError(f"There is no note {note_id}.")
    if row.author_id != actor.id and not actor.may("manage"):
        raise PermissionDeniedError(
            "This note is somebody else's: only they or an admin change it."
        )
    return row


def _note(row: NoteRow) -> Note:
    return Note(
        id=row.id,
        call_id=row.call_id,
        start_ms=row.start_ms,
        text=row.pii_text,
        flag=row.flag,
        author=row.author,
        author_id=row.author_id,
        created_at=row.created_at,
        edited_at=row.edited_at,
    )
