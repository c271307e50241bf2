"""What happened on one call, in order: requests, verbs, frames, keys, errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, `at_ms` after the call was placed."""

    at_ms: int
    kind: str
    detail: dict[str, Any]


class Timeline:
    """Append-only log of one call.

    Kinds: `status`, `request` (webhooks sent), `update` (REST), `verb`, `stream`, `sent`
    (messages to the agent, caller audio not listed one by one), `received` (messages from the
    agent), `caller`, `warning`, `error`.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = now()
        self.entries: list[Entry] = []

    def add(self, kind: str, **detail: Any) -> None:
        """Append an entry with the time of now."""
        self.entries.append(Entry(round((self._now() - self._start) * 1000), kind, detail))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Details of all entries of one kind, in order."""
        return [entry.detail for entry in self.entries if entry.kind == kind]

    def errors(self) -> list[int]:
        """Twilio's error codes, in order."""
        return [detail["code"] for detail in self.of("error")]

    def as_json(self) -> list[dict[str, Any]]:
        """JSON-ready entries."""
        return [asdict(entry) for entry in self.entries]
