"""Camera pictures that the model was shown, as files that may be handed out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from agent.errors import NotFoundError
from agent.store.engine import Database
from agent.store.tables import StillRow
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.recordings import MOST_FILES, safe_path
from agent.supervisor.transactions import reading

FOLDER = "stills"


@dataclass(frozen=True, slots=True)
class StillFile:
    """A JPEG on this machine."""

    path: Path
    sha256: str


class Stills:
    """Opens pictures. Needs `listen`; that somebody looked is kept."""

    def __init__(self, database: Database, audit: AuditLog, data_dir: Path) -> None:
        self._database = database
        self._audit = audit
        self._root = (data_dir / FOLDER).resolve()

    async def open(self, actor: Actor, call_id: str, number: int = 0) -> StillFile:
        """The file of one of a call's pictures, counted from 0.

        Raises:
            PermissionDeniedError: The actor may not `listen`.
            NotFoundError: There is no such picture, or its file is gone.
        """
        actor.need("listen")
        query = select(StillRow).where(StillRow.call_id == call_id).order_by(StillRow.seq)
        rows: Sequence[StillRow] = ()
        if 0 <= number < MOST_FILES:
            async with reading(self._database) as db:
                rows = (await db.scalars(query.offset(number).limit(1))).all()
        path = safe_path(self._root, rows[0].path) if rows else None
        if path is None or not await asyncio.to_thread(path.is_file):
            raise NotFoundError(f"The call {call_id} has no picture {number} on this machine.")
        await self._audit.record(actor, "still.open", f"call/{call_id}", {"number": number})
        return StillFile(path, rows[0].sha256)
