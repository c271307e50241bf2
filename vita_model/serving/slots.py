"""How many sessions this server takes."""

from __future__ import annotations

import asyncio


class Slots:
    """Counts sessions. One slot is taken at the upgrade and given back when the socket is gone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.active = 0
        self.empty = asyncio.Event()
        """Set while no session runs."""
        self.empty.set()
        self.draining = False
        """No new session is taken; those that run may end."""

    def take(self) -> bool:
        """Take a slot if there is one."""
        if self.draining or self.active >= self.limit:
            return False
        self.active += 1
        self.empty.clear()
        return True

    def give_back(self) -> None:
        """A session has ended."""
        self.active -= 1
        if not self.active:
            self.empty.set()
