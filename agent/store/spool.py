"""The local spool: where call events are safe before the database has them.

One SQLite file per worker. Appending costs microseconds and survives the death of the process; a
durable append is flushed to disk and survives the loss of power. A file belongs to the process
that holds its lock, so a restarted worker finds what its predecessor left.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from agent.errors import VitaError

BUSY_TIMEOUT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    reason TEXT NOT NULL
);
"""


class SpoolError(VitaError):
    """The local disk did not take an event."""

    code = "spool"
    http_status = 503


@dataclass(frozen=True, slots=True)
class SpooledEvent:
    """One event of one call. `id` is its place in the spool, 0 before it has one."""

    call_id: str
    seq: int
    at: datetime
    kind: str
    payload: Mapping[str, Any]
    id: int = 0


class Spool:
    """One spool file. Methods may be called from any thread."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self._lock_file = lock
        self.path = path
        self._guard = threading.Lock()
        self._probes = 0
        self._fast = _connect(path, synchronous="NORMAL")
        self._sure = _connect(path, synchronous="FULL")
        self._back = _connect(path, synchronous="NORMAL")
        # Copying the log into the file costs a flush; it is done behind, never by an append.
        for connection in (self._fast, self._sure):
            connection.execute("PRAGMA wal_autocheckpoint=0")
        self._back.executescript(_SCHEMA)

    @classmethod
    def claim(cls, folder: Path) -> Self:
        """Open the first spool in `folder` that no live process holds, or a new one."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 0
        while True:
            path = folder / f"{number}.db"
            lock = _try_lock(path)
            if lock is not None:
                return cls(path, lock)
            number += 1

    @classmethod
    def claim_orphans(cls, folder: Path) -> list[Self]:
        """Open every other spool in `folder` that no live process holds."""
        orphans = []
        for path in sorted(folder.glob("*.db")):
            lock = _try_lock(path)
            if lock is not None:
                orphans.append(cls(path, lock))
        return orphans

    def append(self, event: SpooledEvent, *, durable: bool = False) -> None:
        """Add an event; `durable` returns only once it is on disk.

        Raises:
            SpoolError: The disk did not take it.
        """
        row = (
            event.call_id,
            event.seq,
            event.at.isoformat(),
            event.kind,
            json.dumps(event.payload),
        )
        try:
            with self._guard:
                (self._sure if durable else self._fast).execute(
                    "INSERT INTO events (call_id, seq, at, kind, payload) VALUES (?, ?, ?, ?, ?)",
                    row,
                )
        except sqlite3.Error as error:
            raise SpoolError(f"The spool {self.path} took no event: {error}.") from error

    def read(self, limit: int) -> list[SpooledEvent]:
        """The oldest events, in order. May block; not for the event loop's thread."""
        rows = self._back.execute(
            "SELECT call_id, seq, at, kind, payload, id FROM events ORDER BY id LIMIT ?", (limit,)
        )
        return [
            SpooledEvent(call_id, seq, datetime.fromisoformat(at), kind, json.loads(payload), id_)
            for call_id, seq, at, kind, payload, id_ in rows
        ]

    def forget(self, events: Sequence[SpooledEvent]) -> None:
        """Drop events the database has. May block; not for the event loop's thread."""
        if events:
            self._back.execute(
                "DELETE FROM events WHERE id BETWEEN ? AND ?", (events[0].id, events[-1].id)
            )

    def set_aside(self, event: SpooledEvent, reason: str) -> None:
        """Keep an event the database refuses where it holds up no others."""
        self._back.execute(
            "INSERT OR REPLACE INTO rejected "
            "SELECT id, call_id, seq, at, kind, payload, ? FROM events WHERE id = ?",
            (reason, event.id),
        )
        self._back.execute("DELETE FROM events WHERE id = ?", (event.id,))

    def counts(self) -> tuple[int, int]:
        """How many events wait, and how many were set aside."""
        (waiting,) = self._back.execute("SELECT count(*) FROM events").fetchone()
        (rejected,) = self._back.execute("SELECT count(*) FROM rejected").fetchone()
        return waiting, rejected

    def oldest(self) -> datetime | None:
        """When the oldest event that waits happened; None when none waits."""
        row = self._back.execute("SELECT at FROM events ORDER BY id LIMIT 1").fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def probe(self) -> None:
        """Write something small. May block; not for the event loop's thread.

        Raises:
            SpoolError: The disk did not take it.
        """
        self._probes = (self._probes + 1) % (1 << 30)
        try:
            self._back.execute(f"PRAGMA user_version={self._probes}")
        except sqlite3.Error as error:
            raise SpoolError(f"The spool {self.path} takes no event: {error}.") from error

    def close(self) -> None:
        """Close the file and let go of it."""
        for connection in (self._fast, self._sure, self._back):
            connection.close()
        self._lock_file.close()


def _connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    return connection


def _try_lock(path: Path) -> IO[str] | None:
    handle = path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
