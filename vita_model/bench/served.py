"""A model server of its own process, held to some cores, whose CPU time can be read."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import psutil

from vita_model.bench.talker import BenchError, Spent

START_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: where it answers and what it has used."""

    address: str
    spent: Spent


Start = Callable[[int], AbstractAsyncContextManager[Served]]
"""Starts a server on so many cores."""


def server(sessions: int, options: Sequence[str] = ()) -> Start:
    """Starts `vita model serve`.

    Args:
        sessions: How many it must take at once.
        options: Further ones of the command.
    """

    @asynccontextmanager
    async def start(cores: int) -> AsyncIterator[Served]:
        program = "from vita_model.cli import app; app()"
        command = ["serve", "--port", "0", "--max-sessions", str(sessions), *options]
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(allowed)[:cores])  # inherited by the child
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, *command, stdout=asyncio.subprocess.PIPE
            )
        finally:
            os.sched_setaffinity(0, allowed)
        try:
            yield Served(await _address(child), _meter(child.pid))
        finally:
            if child.returncode is None:
                child.kill()
            await asyncio.wait_for(child.wait(), STOP_LIMIT_S)

    return start


async def _address(child: asyncio.subprocess.Process) -> str:
    if child.stdout is None:
        raise BenchError("The server's output cannot be read.")
    async with asyncio.timeout(START_LIMIT_S):
        async for line in child.stdout:
            _, found, address = line.decode().partition(" answers at ")
            if found:
                return address.strip()
    raise BenchError("The server did not start; run `vita model serve` to see why.")


def _meter(pid: int) -> Spent:
    process = psutil.Process(pid)

    def spent() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return spent
