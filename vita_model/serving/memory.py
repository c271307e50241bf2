"""Whether there is memory for another session, told before there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_MIB: Final = 1 << 20

FIRST_GUESS: Final = 32 * _MIB
"""What a session is thought to need before one has shown it."""
RESERVE: Final = 0.05
"""Part of the limit that stays free for what grows by itself."""
MOST_RESERVE: Final = 256 * _MIB


@dataclass(frozen=True, slots=True)
class Memory:
    """How much memory there is, in bytes.

    Attributes:
        used: What this process holds.
        limit: What it may hold: that of its container, or the machine's.
        free: What it could still get now; others may hold the rest.
    """

    used: int
    limit: int
    free: int


def read_memory(setting: int | None = None) -> Memory | None:
    """Look at this process and what bounds it. None where the system does not tell.

    Args:
        setting: A lower limit of the operator's.
    """
    if sys.platform != "linux":
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        lines = Path("/proc/meminfo").read_text().splitlines()
    except (OSError, ValueError, IndexError):
        return None
    used = pages * os.sysconf("SC_PAGE_SIZE")
    machine = {name: int(rest.split()[0]) * 1024 for name, _, rest in map(_parts, lines)}
    limit, free = machine["MemTotal"], machine["MemAvailable"]
    for most, now in _containers():
        limit, free = min(limit, most), min(free, most - now)
    if setting is not None:
        limit = min(limit, setting)
    return Memory(used, limit, max(min(free, limit - used), 0))


def _parts(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _containers() -> list[tuple[int, int]]:
    """Limit and use of the container. Cached files do not count as used: they make room."""
    found = []
    for most, now, stat, cached in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: there is no limit
            limit, use = int((_CGROUP / most).read_text()), int((_CGROUP / now).read_text())
            entries = dict(line.split() for line in (_CGROUP / stat).read_text().splitlines())
            found.append((limit, use - int(entries.get(cached, 0))))
    return found


class MemoryPlanner:
    """Decides how many sessions fit. Pure: told how memory stands.

    A session's memory grows while it talks, so one that has just begun counts with all it will
    need. What that is follows from how much the process has grown for how many sessions since it was
    idle, and is never less than the model says or the first guess.

    Args:
        look: Reads the memory; None when nobody knows, and then everything fits.
        needs: Bytes the model says a session may come to; 0 when it does not say.
    """

    def __init__(
        self, look: Callable[[], Memory | None], needs: Callable[[], int] = lambda: 0
    ) -> None:
        self._look = look
        self._needs = needs
        first = look()
        self._base = first.used if first is not None else 0
        self._shown = 0
        self._most_active = 0

    @property
    def per_session(self) -> int:
        """What one session is expected to need, bytes."""
        return max(self._needs() or FIRST_GUESS, self._shown)

    def has_room(self, sessions: int) -> bool:
        """Whether so many sessions fit, those included that run already."""
        memory = self._look()
        if memory is None:
            return True
        self._learn(memory, sessions - 1)
        wanted = sessions * self.per_session - max(memory.used - self._base, 0)
        return wanted <= memory.free - min(RESERVE * memory.limit, MOST_RESERVE)

    def now(self) -> Memory | None:
        """How memory stands."""
        return self._look()

    def _learn(self, memory: Memory, active: int) -> None:
        """What is held while nobody talks belongs to no session: the allocator keeps it."""
        if not active:
            self._base, self._shown, self._most_active = memory.used, 0, 0
            return
        self._most_active = max(self._most_active, active)
        self._shown = max(memory.used - self._base, 0) // self._most_active
