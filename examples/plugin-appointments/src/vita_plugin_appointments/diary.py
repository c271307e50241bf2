"""The diary: one SQLite file. Knows nothing of telephones."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMES = ("9:00", "9:30", "10:00", "10:30", "14:00", "14:30")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bookings (
    number TEXT PRIMARY KEY, day TEXT NOT NULL, time TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (day, time)
)
"""


class TakenError(Exception):
    """Somebody else has that time."""


@dataclass(frozen=True)
class Diary:
    """A practice's bookings, kept in `file`."""

    file: Path

    def free(self, day: str) -> list[str]:
        """Times of a day that nobody has booked."""
        with self._open() as db:
            rows = db.execute("SELECT time FROM bookings WHERE day = ?", (day,)).fetchall()
        taken = {time for (time,) in rows}
        return [time for time in TIMES if time not in taken]

    def book(self, day: str, time: str, name: str) -> str:
        """Book a time; returns the booking's number.

        Raises:
            TakenError: It is taken.
        """
        number = str(secrets.randbelow(9000) + 1000)
        try:
            with self._open() as db:
                db.execute("INSERT INTO bookings VALUES (?, ?, ?, ?)", (number, day, time, name))
        except sqlite3.IntegrityError as error:
            raise TakenError from error
        return number

    def cancel(self, number: str) -> None:
        """Give a time back; an unknown number is fine."""
        with self._open() as db:
            db.execute("DELETE FROM bookings WHERE number = ?", (number,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.file, timeout=5)) as db, db:
            db.execute(_SCHEMA)
            yield db
