"""Brings the database's tables to a revision. All functions block; give them a thread."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import OperationalError

import migrations
from agent.errors import ConfigurationError, DatabaseAwayError
from agent.store.engine import sync_engine

# Any number, the same for everyone who migrates one PostgreSQL database.
ADVISORY_LOCK = 0x76697461

# What the search index is called.
WORDS = {"table": "utterance_words", "index": "ix_utterances_words"}


def upgrade(url: URL, revision: str = "head") -> None:
    """Bring the database up to `revision`. Two processes that do so at once wait for each other.

    Raises:
        DatabaseAwayError: The database is out of reach.
        ConfigurationError: There is no such revision.
    """
    with _alone(url) as config, _sentences():
        command.upgrade(config, revision)


def downgrade(url: URL, revision: str) -> None:
    """Take the database down to `revision`; `base` drops everything.

    Raises:
        DatabaseAwayError: The database is out of reach.
        ConfigurationError: There is no such revision.
    """
    with _alone(url) as config, _sentences():
        command.downgrade(config, revision)


def current(url: URL) -> str:
    """The revision the database is at; empty when it has none.

    Raises:
        DatabaseAwayError: The database is out of reach.
    """
    with _connected(url) as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def head() -> str:
    """The newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def is_described(_thing: object, name: str | None, kind: str, *_rest: object) -> bool:
    """Whether a part of the schema is one that `agent.store.tables` describes.

    SQLite's full-text index is a table, with more behind it, that no class stands for; PostgreSQL's
    is an index over an expression.
    """
    return not (name or "").startswith(WORDS[kind]) if kind in WORDS else True


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


@contextmanager
def _alone(url: URL) -> Iterator[Config]:
    config = _config()
    with _locked_file(url), _connected(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        config.attributes["connection"] = connection
        yield config
        connection.commit()


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = sync_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise DatabaseAwayError(
            f"The database {url.render_as_string()} cannot be reached ({_first_line(error.orig)}): "
            "start it, or correct VITA_DATABASE_URL."
        ) from error
    finally:
        engine.dispose()


@contextmanager
def _locked_file(url: URL) -> Iterator[None]:
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        yield
        return
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".migrating").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise ConfigurationError(f"{error}.") from error


def _first_line(error: BaseException | None) -> str:
    """What a driver says, without its questions on further lines."""
    return str(error).partition("\n")[0].rstrip(".")
