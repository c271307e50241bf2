"""The small database behind the example tools: its own SQLite file under the data folder.

Functions block; the example tools are plain functions and run on a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

FILE_NAME = "example_shop.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, status TEXT NOT NULL, arrives TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS appointments (
    idempotency_key TEXT PRIMARY KEY, day TEXT NOT NULL, time TEXT NOT NULL, booked_by TEXT NOT NULL,
    UNIQUE (day, time)
);
"""

DEMO_ORDERS = (
    ("48213", "out for delivery", "tomorrow"),
    ("70552", "delayed", "Friday"),
    ("31907", "shipped", "Monday"),
    ("26640", "being packed", "next week"),
    ("59118", "delivered", "yesterday"),
    ("80334", "ready for pickup", "today"),
)


@contextmanager
def shop(data_dir: Path) -> Iterator[sqlite3.Connection]:
    """Open the shop in one transaction, with the demonstration's orders in it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(data_dir / FILE_NAME, timeout=5.0, isolation_level=None)) as db:
        db.executescript(_SCHEMA)
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", DEMO_ORDERS)
        yield db
        db.execute("COMMIT")
