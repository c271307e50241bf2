"""An agent with its REST interface on a real socket, in a thread beside the tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml

from agent.api_http.app import PATH, api_parts, build_api
from agent.bootstrap import Application, build
from agent.demo import DEMO_LINES
from agent.session.store import SessionStore
from agent.settings import load_settings
from agent.supervisor.access import ROLES, Role
from connectors.app import build_app
from connectors.server import AppServer
from connectors.twilio.config import TwilioConfig
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import COMMAND, CallBook
from tests.agent.test_front_desk import Runner
from tests.agent.test_outbound import NOON, RULES, Phones

T = TypeVar("T")


@dataclass
class Served:
    """The running agent. `do` runs a coroutine in its loop."""

    url: str
    application: Application
    book: CallBook
    clock: ManualClock
    loop: asyncio.AbstractEventLoop
    tokens: dict[Role, str]
    data_dir: Path

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def client(self, role: Role | None = "viewer") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        return httpx.Client(base_url=self.url + PATH, headers=headers, timeout=30, trust_env=False)


@contextmanager
def served_api(data_dir: Path, redis_url: str, database_url: str | None) -> Iterator[Served]:
    started: Future[Served] = Future()
    stop: Future[asyncio.Event] = Future()

    async def serve() -> None:
        try:
            await _serve(data_dir, redis_url, database_url, started, stop)
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    with pytest.MonkeyPatch.context() as patch:
        # Cores are shared with other tests.
        patch.setattr("agent.bootstrap.SessionStore", partial(SessionStore, budget_s=5.0))
        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        served = started.result(60)
        try:
            yield served
        finally:
            served.loop.call_soon_threadsafe(stop.result().set)
            thread.join(60)


async def _serve(
    data_dir: Path,
    redis_url: str,
    database_url: str | None,
    started: Future[Served],
    stop: Future[asyncio.Event],
) -> None:
    document = yaml.safe_load(DEMO_LINES.read_text())
    document["lines"][0]["outbound"] = RULES
    lines = data_dir / "lines.yaml"
    lines.write_text(yaml.safe_dump(document))
    settings = load_settings(
        profile="test",
        data_dir=data_dir,
        redis_url=redis_url,
        database_url=database_url,
        lines_file=lines,
    )
    clock = ManualClock()
    clock.advance((NOON - clock.now()).total_seconds())
    async with build(settings, runner=Runner(), dialler=Phones(), clock=clock) as application:
        keys = application.supervisors.keys
        tokens = {
            role: (await keys.create(COMMAND, name=f"a {role}", role=role)).token for role in ROLES
        }
        app = build_app(
            application.desk,
            TwilioConfig("AC0", "secret", "https://example.com"),
            mounts={PATH: build_api(api_parts(application))},
        )
        async with AppServer(app) as server:
            ending = asyncio.Event()
            stop.set_result(ending)
            started.set_result(
                Served(
                    url=server.url,
                    application=application,
                    book=CallBook(application.calls._database, clock),
                    clock=clock,
                    loop=asyncio.get_running_loop(),
                    tokens=tokens,
                    data_dir=data_dir,
                )
            )
            await ending.wait()
