"""A console as its people use it: a process of its own over a filled call log."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request

from agent.calls.lines import LineCatalog
from agent.clock import SystemClock
from agent.console.gate import COOKIE
from agent.session.embedded import EmbeddedValkey
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.access import Actor, Role
from agent.supervisor.accounts import Users
from agent.supervisor.audit import AuditLog
from tests.browser.chromium import DESKTOP, chromium
from tests.browser.conftest import Opener, open_page, shot
from tests.console.call_log import Log, fill

__all__ = ["open_page", "shot"]

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
    sessions: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        database = Database(f"sqlite:///{self.data_dir / 'calls.db'}")
        yield database
        await database.close()

    async def session(self, who: str) -> str:
        """Token of a session that tests of this person share."""
        if who not in self.sessions:
            async with self.client(who) as client:
                self.sessions[who] = str(client.cookies[COOKIE])
        return self.sessions[who]

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


in_browser = pytest.mark.asyncio(loop_scope="session")
"""For tests that share the one browser: starting it costs more than most of them."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


Visit = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(console: Console, open_page: Opener) -> AsyncIterator[Visit]:
    """Opens a page of the console, signed in: `await visit("/calls", who="sam", dark=True)`.

    A page that asks for something outside, or has an error, fails the test.
    """

    windows: list[BrowserContext] = []
    wrong: list[str] = []

    def asked(request: Request) -> None:
        if not request.url.startswith((console.url, "data:", "blob:")):
            wrong.append(f"asked outside: {request.url}")

    async def visit(
        path: str, who: str = "sam", size: tuple[int, int] = DESKTOP, *, dark: bool = False
    ) -> Page:
        page = await open_page("about:blank", size, dark=dark)
        page.on("request", asked)
        page.on("console", lambda said: _policy(said.text, wrong))
        page.on("pageerror", lambda error: wrong.append(f"{path}: {error}"))
        windows.append(page.context)
        cookie = {"name": COOKIE, "value": await console.session(who), "url": console.url}
        await page.context.add_cookies([cookie])
        await page.goto(console.url + path)
        await page.wait_for_selector(".content")
        return page

    yield visit
    for each in windows:
        await each.close()
    assert not wrong


def _policy(said: str, wrong: list[str]) -> None:
    if "Content Security Policy" in said:
        wrong.append(said)
