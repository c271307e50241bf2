"""What a worker that died on this machine has left behind: events in its spool, half a recording.

Every worker looks for both every few seconds, so nothing waits for a restart.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from agent.calls.context import Journals
from agent.clock import Clock
from agent.errors import SessionStoreError
from agent.log import get_logger
from agent.session.lease import Leases
from agent.store.engine import Database
from agent.store.recordings import Recording, abandoned, salvage
from agent.store.shipper import Shipper
from agent.store.spool import Spool

log = get_logger(__name__)

LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Takes over what dead workers have left in one data folder."""

    data_dir: Path
    database: Database
    shipper: Shipper
    leases: Leases
    journals: Journals
    clock: Clock

    async def run(self) -> None:
        """Look for what was left behind, first everywhere, then where something new may be."""
        await self._look(await asyncio.to_thread(self._all_folders))
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look(self._newest_folders())

    async def _look(self, folders: Iterable[Path]) -> None:
        try:
            if self.shipper.prepared:
                await self.adopt_events()
            await self.adopt_recordings(folders)
        except (SQLAlchemyError, SessionStoreError, sqlite3.Error, OSError) as error:
            # Another try follows; what is left behind stays where it is.
            log.warning("not_recovered_yet", reason=type(error).__name__)

    async def adopt_events(self) -> None:
        """Ship what is left in the spools of dead workers.

        Raises:
            SQLAlchemyError, OSError, sqlite3.Error: The database or the disk is away.
        """
        for orphan in await asyncio.to_thread(Spool.claim_orphans, self.data_dir / "spool"):
            try:
                waiting, _ = await asyncio.to_thread(orphan.counts)
                if waiting:
                    await Shipper(orphan, self.database).drain()
                    log.warning("events_adopted", spool=orphan.path.name, events=waiting)
            finally:
                await asyncio.to_thread(orphan.close)

    async def adopt_recordings(self, folders: Iterable[Path]) -> None:
        """Make whole what dead workers were recording, and log it with its call.

        Raises:
            SessionStoreError, OSError: Redis or the disk is away.
        """
        for part in await asyncio.to_thread(abandoned, list(folders)):
            call_id, _, _ = part.name.rpartition("-")
            epoch = await self.leases.next_epoch(call_id)
            recording = await asyncio.to_thread(salvage, part)
            if recording is not None:
                self._record(call_id, epoch, recording)

    def _record(self, call_id: str, epoch: int, recording: Recording) -> None:
        self.journals(call_id, epoch).record(
            "recording",
            {
                "path": str(recording.path),
                "sha256": recording.sha256,
                "bytes": recording.size,
                "duration_ms": recording.duration_ms,
            },
        )
        log.warning("recording_adopted", call_id=call_id, duration_ms=recording.duration_ms)

    def _all_folders(self) -> list[Path]:
        return [folder for folder in self._recordings.glob("*/*/*") if folder.is_dir()]

    def _newest_folders(self) -> list[Path]:
        now = self.clock.now()
        days = (now, now - timedelta(days=1))
        return [self._recordings / day.strftime("%Y/%m/%d") for day in days]

    @property
    def _recordings(self) -> Path:
        return self.data_dir / "recordings"
