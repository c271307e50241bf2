"""Who gets a session: one slot for each, and reasons for those who get none."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

from vita_model.serving.keys import Key

Reason = Literal["draining", "stuck", "full", "memory", "key_sessions", "key_rate"]

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a session was not opened, for the client and for the counter."""

    reason: Reason
    sentence: str
    retry_after_s: int = 1

    @property
    def status(self) -> HTTPStatus:
        """429 is about the client, 503 about this server: another one may help."""
        if self.reason in ("key_sessions", "key_rate"):
            return HTTPStatus.TOO_MANY_REQUESTS
        return HTTPStatus.SERVICE_UNAVAILABLE


class Slots:
    """Counts sessions. One slot is taken at the upgrade and given back when the socket is gone.

    Attributes:
        limit: Sessions at once.
        active: Sessions now.
        empty: Set while no session runs.
        closed: Why no session is taken any more, while those that run may end; None for no reason.

    Args:
        limit: Sessions at once.
        has_room: Whether the memory of so many sessions is there.
        clock: Monotonic seconds.
    """

    def __init__(
        self, limit: int, has_room: Callable[[int], bool], clock: Callable[[], float]
    ) -> None:
        self.limit = limit
        self.active = 0
        self.empty = asyncio.Event()
        self.empty.set()
        self.closed: Literal["draining", "stuck"] | None = None
        self._has_room = has_room
        self._clock = clock
        self._by_key: Counter[str] = Counter()
        self._begun: dict[str, deque[float]] = {}

    def take(self, key: Key | None) -> Refusal | None:
        """Take a slot for the holder of a key, or say why there is none."""
        refusal = self.refusal() or (self._over(key) if key is not None else None)
        if refusal is not None:
            return refusal
        if key is not None:
            self._by_key[key.name] += 1
            self._begun.setdefault(key.name, deque()).append(self._clock())
        self.active += 1
        self.empty.clear()
        return None

    def give_back(self, key: Key | None) -> None:
        """A session has ended."""
        self.active -= 1
        if key is not None:
            self._by_key[key.name] -= 1
            if not self._by_key[key.name]:
                del self._by_key[key.name]
        if not self.active:
            self.empty.set()

    def refusal(self) -> Refusal | None:
        """Why nobody would get a slot now; None when there is one."""
        if self.closed == "draining":
            return Refusal("draining", "This server is being stopped; use another server.", 5)
        if self.closed == "stuck":
            return Refusal("stuck", "This server does not work; use another server.", 30)
        if self.active >= self.limit:
            return Refusal(
                "full",
                f"All {self.limit} sessions are in use; try again or use another server.",
            )
        if not self._has_room(self.active + 1):
            return Refusal(
                "memory",
                f"The memory holds no more than {self.active} sessions now; "
                "try again or use another server.",
            )
        return None

    def _over(self, key: Key) -> Refusal | None:
        begun, now = self._begun.get(key.name, deque()), self._clock()
        while begun and begun[0] <= now - _MINUTE_S:
            begun.popleft()
        if key.sessions and self._by_key[key.name] >= key.sessions:
            return Refusal(
                "key_sessions", f"This key may hold {key.sessions} sessions at once; end one first."
            )
        if key.per_minute and len(begun) >= key.per_minute:
            wait_s = int(begun[0] + _MINUTE_S - now) + 1
            return Refusal(
                "key_rate",
                f"This key may open {key.per_minute} sessions a minute; try again in {wait_s} s.",
                wait_s,
            )
        return None
