"""Signing in and out, and files that only those get who may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from agent.clock import SystemClock
from agent.console.about import About
from agent.console.gate import COOKIE
from agent.console.sign_in import sign_in_routes
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.accounts import Users
from agent.supervisor.audit import AuditLog
from agent.supervisor.rate_limit import RateLimit
from agent.supervisor.sign_in import FAILURES, SignIns
from tests.console.conftest import COMMAND, PASSWORD, Console
from tests.serving.scripted_model import ScriptedModel
from vita_model.serving.door import open_listener
from vita_model.serving.server import ServerConfig, serving

pytestmark = pytest.mark.integration


class Door:
    def __init__(self, client: httpx.AsyncClient, users: Users) -> None:
        self.client = client
        self.users = users

    async def knock(self, password: str, target: str = "/") -> httpx.Response:
        given = {"email": "ana@example.com", "password": password, "next": target}
        return await self.client.post("/sign-in", data=given)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    database, clock = Database(f"sqlite:///{tmp_path / 'calls.db'}"), SystemClock()
    migrate.upgrade(database.url)
    audit = AuditLog(database, clock)
    users = Users(database, audit, clock)
    sign_ins = SignIns(database, audit, RateLimit(None, clock, 100, 60), clock)
    app = FastAPI()
    app.include_router(sign_in_routes(sign_ins, users, About(["ws://127.0.0.1:9"])))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
        yield Door(client, users)
    await database.close()


async def test_without_an_account_the_door_says_how_to_make_one(door: Door):
    assert "vita users add" in (await door.client.get("/sign-in")).text
    await door.users.create(
        COMMAND, email="ana@example.com", name="Ana", role="admin", password=PASSWORD
    )
    assert "vita users add" not in (await door.client.get("/sign-in")).text


async def test_in_and_out(door: Door):
    await door.users.create(
        COMMAND, email="ana@example.com", name="Ana", role="admin", password=PASSWORD
    )
    wrong = await door.knock("something else")
    assert wrong.status_code == 401
    assert "password is wrong" in wrong.text
    right = await door.knock(PASSWORD, "/calls?q=order")
    assert (right.status_code, right.headers["location"]) == (303, "/calls?q=order")
    cookie = right.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    out = await door.client.post("/sign-out")
    assert out.headers["location"] == "/sign-in?out=1"
    assert COOKIE not in door.client.cookies


@pytest.mark.parametrize("target", ["https://evil", "//evil", "/\\evil", "javascript:alert(1)"])
async def test_the_door_leads_to_our_own_pages_only(door: Door, target: str):
    await door.users.create(
        COMMAND, email="ana@example.com", name="Ana", role="admin", password=PASSWORD
    )
    assert (await door.knock(PASSWORD, target)).headers["location"] == "/"


async def test_too_many_wrong_passwords_lock_the_account(door: Door):
    await door.users.create(
        COMMAND, email="ana@example.com", name="Ana", role="admin", password=PASSWORD
    )
    for _ in range(FAILURES):
        await door.knock("something else")
    locked = await door.knock(PASSWORD)
    assert locked.status_code == 429
    assert "try again in" in locked.text
    assert int(locked.headers["retry-after"]) > 0


async def test_the_footer_names_the_weights_and_their_licence():
    about = About(["ws://127.0.0.1:9/v1/realtime"])
    await about.refresh()
    assert "Model server not reached" in about.lines()
    listener = open_listener("127.0.0.1", 0)
    host, port = listener.getsockname()
    async with serving(ScriptedModel(), listener, ServerConfig()):
        about = About(["ws://127.0.0.1:9", f"ws://{host}:{port}/v1/realtime"])
        await about.refresh()
    assert about.lines()[1:] == ["Weights: scripted", "Licence: Apache-2.0"]


async def test_a_recording_is_sent_in_ranges_to_who_may_listen(console: Console):
    address = f"/media/{console.log.recorded}/recordings/0"
    async with console.client("sam") as sam, console.client("lee") as lee:
        part = await sam.get(address, headers={"range": "bytes=0-43"})
        assert (part.status_code, part.content[:4]) == (206, b"RIFF")
        beyond = await sam.get(address, headers={"range": "bytes=999999999-"})
        assert beyond.status_code == 416
        whole = await sam.get(address, params={"download": "1"})
        assert "attachment" in whole.headers["content-disposition"]
        assert len(whole.content) == int(part.headers["content-range"].split("/")[1])
        refused = await lee.get(address)
        assert (refused.status_code, "listen" in refused.text) == (403, True)
        assert (await sam.get("/media/none/recordings/0")).status_code == 404
        still = await sam.get(f"/media/{console.log.recorded}/stills/0")
        assert still.headers["content-type"] == "image/jpeg"


async def test_nothing_is_open_without_a_session(console: Console):
    address = f"/media/{console.log.recorded}/recordings/0"
    async with httpx.AsyncClient(base_url=console.url, trust_env=False) as nobody:
        assert (await nobody.get(address, headers={"accept": "audio/*"})).status_code == 401
        page = await nobody.get("/calls", headers={"accept": "text/html"})
        assert page.headers["location"] == "/sign-in?next=/calls"
        socket = await nobody.get("/_nicegui_ws/socket.io/?EIO=4&transport=polling")
        assert socket.status_code in {401, 303}
        assert (await nobody.get("/livez")).text == "ok\n"
