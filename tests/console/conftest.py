"""A console as its people use it: a process of its own over a filled call log."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from agent.calls.lines import LineCatalog
from agent.clock import SystemClock
from agent.session.embedded import EmbeddedValkey
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.access import Actor, Role
from agent.supervisor.accounts import Users
from agent.supervisor.audit import AuditLog
from tests.browser.chromium import DESKTOP
from tests.browser.conftest import Opener, browser, open_page, shot
from tests.console.call_log import Log, fill

__all__ = ["browser", "open_page", "shot"]

COMMAND = Actor("command", "test", "test", "admin")
ROOT = Path(__file__).parents[2]
PASSWORD = "a long way to tipperary"
PEOPLE: tuple[tuple[str, Role], ...] = (
    ("Ana Pereira", "admin"),
    ("Sam Okafor", "supervisor"),
    ("Lee Wong", "viewer"),
)


@dataclass(frozen=True)
class Console:
    """A running console."""

    url: str
    data_dir: Path
    redis_url: str
    log: Log

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        database = Database(f"sqlite:///{self.data_dir / 'calls.db'}")
        yield database
        await database.close()

    @asynccontextmanager
    async def client(self, who: str) -> AsyncIterator[httpx.AsyncClient]:
        """Signed in, without a browser."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            given = {"email": f"{who}@example.com", "password": PASSWORD}
            answer = await client.post("/sign-in", data=given)
            assert answer.status_code == 303
            yield client


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    data_dir = tmp_path_factory.mktemp("console")
    log = asyncio.run(_fill(data_dir))
    valkey = EmbeddedValkey(data_dir)
    asyncio.run(valkey.__aenter__())
    program = "from agent.cli.main import app; app()"
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251
        "PYTHONPATH": str(ROOT),
        "VITA_DATA_DIR": str(data_dir),
        "VITA_REDIS_URL": valkey.url,
        "VITA_MODEL_URL": "ws://127.0.0.1:9/v1/realtime",
    }
    with (
        (data_dir / "console.log").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", program, "console", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=environment,
        ) as process,
    ):
        try:
            yield Console(_address(process), data_dir, valkey.url, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            asyncio.run(valkey.__aexit__(None, None, None))


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if "answers at" in line:
            return line.split()[-1]
    raise AssertionError("the console did not start")


async def _fill(data_dir: Path) -> Log:
    database, clock = Database(f"sqlite:///{data_dir / 'calls.db'}"), SystemClock()
    migrate.upgrade(database.url)
    users = Users(database, AuditLog(database, clock), clock)
    for name, role in PEOPLE:
        email = f"{name.split()[0].lower()}@example.com"
        await users.create(COMMAND, email=email, name=name, role=role, password=PASSWORD)
    log = await fill(database, data_dir)
    await LineCatalog(database, clock).apply(log.lines, by="ana")
    await database.close()
    return log


Visit = Callable[..., Awaitable[Page]]


@pytest.fixture
def visit(console: Console, open_page: Opener) -> Visit:
    """Opens a page of the console, signed in: `await visit("/calls", who="sam", dark=True)`.

    A page that asks for something outside, or has an error, fails the test.
    """

    async def visit(
        path: str, who: str = "sam", size: tuple[int, int] = DESKTOP, *, dark: bool = False
    ) -> Page:
        page = await open_page(f"{console.url}/sign-in?next={path}", size, dark=dark)
        page.on("request", lambda request: _inside(console, request.url))
        page.on("pageerror", lambda error: pytest.fail(f"{path}: {error}"))
        await page.fill("#email", f"{who}@example.com")
        await page.fill("#password", PASSWORD)
        await page.click("button")
        await page.wait_for_selector(".content")
        return page

    return visit


def _inside(console: Console, url: str) -> None:
    assert url.startswith((console.url, "data:", "blob:")), url
