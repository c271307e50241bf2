"""Agent processes behind one public address, as a load balancer would have them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.running import ROOT, command

READY_S = 60


@dataclass
class Balancer:
    """Hands each connection to the first backend that takes it. `url` is the public address."""

    backends: list[int] = field(default_factory=list)
    port: int = 0
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._join(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Between a balancer and the carrier, connections outlive a backend. Here each request gets
        # one of its own instead.
        first = await reader.read(65536)
        first = first.replace(b"onnection: keep-alive", b"onnection: close", 1)
        for port in list(self.backends):
            try:
                back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
                back_writer.write(first)
                answer = await back_reader.read(65536)
            except OSError:
                continue
            if not answer:  # it died with our request
                continue
            writer.write(answer)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(reader, back_writer))
                    group.create_task(_pump(back_reader, writer))
            finally:
                back_writer.close()
            return

    async def drop_all(self) -> None:
        """Break every connection, as when the way to the carrier fails."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until the sender ends; then the other side is told."""
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def balancer() -> AsyncIterator[Balancer]:
    """A balancer on a free port, without backends yet."""
    made = Balancer()
    async with await asyncio.start_server(made.take, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made
        await made.drop_all()


@dataclass(frozen=True)
class Worker:
    """One `vita serve`."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ready(self) -> None:
        async with asyncio.timeout(READY_S):
            while "agent_answers" not in self.log.read_text():
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            await asyncio.to_thread(self.process.wait, 30)


def start_worker(name: str, folder: Path, settings: Mapping[str, str], twin: str) -> Worker:
    """Start one agent process; its log goes to `folder/NAME.log`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {
        key: value
        for key, value in os.environ.items()  # noqa: TID251 - passed on to the worker
        if not key.startswith("VITA_")
    }
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("serve", "--port", str(port), "--twin", twin, "--drain-s", "1"),
            env=inherited | dict(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
    return Worker(port, process, log)


@asynccontextmanager
async def workers(
    names: str, folder: Path, settings: Mapping[str, str], twin: str, front: Balancer
) -> AsyncIterator[list[Worker]]:
    """Started workers, in the order the balancer prefers them."""
    async with AsyncExitStack() as stack:
        started = [start_worker(name, folder, settings, twin) for name in names]
        for worker in started:
            stack.push_async_callback(worker.stop)
        for worker in started:
            await worker.ready()
        front.backends = [worker.port for worker in started]
        yield started
