from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from agent.cli.main import app
from agent.errors import NotSignedInError
from agent.store import migrate
from agent.store.engine import Database
from agent.store.supervisor_tables import AuditRow
from agent.store.unit_of_work import writing
from agent.supervisor.audit import AuditLog
from agent.supervisor.keys import ApiKeys
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import CallBook, said

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VITA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return f"sqlite:///{tmp_path / 'calls.db'}"


def vita(*arguments: str, typed: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), input=typed)
    return result.exit_code, result.output


def test_people_are_added_changed_and_shut_out():
    assert vita("users", "add", "ann@example.com", "--role", "admin", typed="long enough\n")[0] == 0
    assert vita("users", "add", "bob@example.com", typed="long enough\n")[0] == 0
    code, out = vita("users", "add", "bob@example.com", typed="long enough\n")
    assert (code, "already" in out) == (1, True)
    code, out = vita("users", "add", "eve@example.com", typed="short\n")
    assert (code, "10 to 200" in out) == (2, True)
    assert vita("users", "passwd", "bob@example.com", typed="another password\n")[0] == 0
    assert vita("users", "role", "bob@example.com", "supervisor")[0] == 0
    assert vita("users", "disable", "bob@example.com")[0] == 0
    rows = [row.split("│") for row in vita("users", "list")[1].splitlines() if "@" in row]
    assert [[cell.strip() for cell in row[1:5]] for row in rows] == [
        ["ann@example.com", "ann", "admin", "active"],
        ["bob@example.com", "bob", "supervisor", "disabled"],
    ]
    assert vita("users", "enable", "bob@example.com")[0] == 0
    assert "last admin" in vita("users", "disable", "ann@example.com")[1]
    assert "no user" in vita("users", "passwd", "eve@example.com", typed="long enough\n")[1]
    assert vita("users", "role", "bob@example.com", "king")[0] == 2


def test_a_key_is_printed_once_and_can_be_revoked(url: str):
    code, out = vita("keys", "create", "reports", "--role", "supervisor", "--days", "30")
    token = out.strip()
    assert (code, token.startswith("va_")) == (0, True)

    async def role() -> str:
        database = Database(url)
        try:
            keys = ApiKeys(database, AuditLog(database, ManualClock()), ManualClock())
            return (await keys.actor(token)).role
        finally:
            await database.close()

    assert asyncio.run(role()) == "supervisor"
    listed = vita("keys", "list")[1]
    assert "reports" in listed
    assert token.split("_", 2)[2] not in listed
    assert vita("keys", "revoke", token.split("_")[1])[0] == 0
    assert "revoked" in vita("keys", "list")[1]
    with pytest.raises(NotSignedInError):
        asyncio.run(role())


def test_the_audit_log_is_shown_and_checked(url: str):
    assert vita("keys", "create", "reports")[0] == 0
    assert "key.create" in vita("audit", "list", "--action", "key.create")[1]
    assert vita("audit", "verify")[0] == 0

    async def forge() -> None:
        database = Database(url)
        async with writing(database) as db:
            await db.execute(update(AuditRow).values(actor_id="nobody"))
        await database.close()

    asyncio.run(forge())
    code, out = vita("audit", "verify")
    assert (code, "entry 1" in out) == (1, True)


def test_what_was_said_is_found_and_shown_masked(url: str):
    async def fill() -> None:
        database = Database(url)
        book = CallBook(database, ManualClock())
        await book.write(
            "c1", said(65, "caller", "Is the crème brûlée fresh? I'm on 555-123-4567.")
        )
        await database.close()

    migrate.upgrade(Database(url).url)
    asyncio.run(fill())
    code, out = vita("calls", "search", "creme", "fresh")
    assert (code, "c1" in out, "1:05" in out, "123-4567" in out) == (0, True, True, False)
    assert "123-4567" in vita("calls", "search", "creme", "--reveal")[1]
    assert "Nobody said that" in vita("calls", "search", "tuesday")[1]
    assert vita("calls", "search", "?!")[0] == 2
    listed, shown = vita("calls", "list", "--text", "fresh")[1], vita("calls", "show", "c1")[1]
    assert "+1 555 ••• ••23" in listed
    assert "123-4567" not in shown
    assert "123-4567" in vita("calls", "show", "c1", "--reveal")[1]
    assert "+15551234523" in vita("calls", "list", "--reveal")[1]
    assert vita("calls", "list", "--text", "tuesday")[1] == "There are no such calls.\n"
    assert "no call" in vita("calls", "show", "none")[1]
