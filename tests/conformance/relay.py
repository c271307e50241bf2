"""A relay in front of the server that can cut its connections as a network does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Relay:
    """Passes bytes on in both directions."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer))
                group.create_task(_copy(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def cut(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Cut everything that is connected now; whoever asked is told when it is done."""
        for end in list(self._open):
            end.transport.abort()
        writer.write(b"cut\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        if not writer.transport.is_closing():
            writer.write_eof()


@contextlib.asynccontextmanager
async def relay(target: int) -> AsyncIterator[tuple[int, int]]:
    """Relay to a port of this machine; gives the port for clients and the one that cuts."""
    passing = Relay(target)
    door = await asyncio.start_server(passing.pass_on, "127.0.0.1", 0)
    cutter = await asyncio.start_server(passing.cut, "127.0.0.1", 0)
    async with door, cutter:
        yield door.sockets[0].getsockname()[1], cutter.sockets[0].getsockname()[1]
