"""What stands before every page: a session, our own origin, strict headers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from agent.console.gate import COOKIE, Gate
from agent.errors import NotSignedInError
from agent.supervisor.access import Actor

pytestmark = pytest.mark.unit

PAGE = {"accept": "text/html"}


async def authenticate(token: str, ip: str) -> Actor:
    if token != "good":
        raise NotSignedInError("Sign in: your session has ended.")
    return Actor("user", "u1", "Ana", "viewer", ip)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()

    @app.get("/{path:path}")
    async def page(request: Request) -> dict[str, str]:
        actor = getattr(request.state, "actor", None)
        return {"who": actor.name if actor else ""}

    @app.post("/{path:path}")
    async def change() -> dict[str, str]:
        return {"done": "yes"}

    app.add_middleware(Gate, authenticate=authenticate)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
        yield client


async def test_a_page_without_a_session_leads_to_the_door_and_back(client: httpx.AsyncClient):
    answer = await client.get("/calls/c1?at=5", headers=PAGE)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/calls/c1%3Fat%3D5"


@pytest.mark.parametrize("path", ["/media/c/recordings/0", "/_nicegui/client/x", "/_nicegui_ws/s"])
async def test_what_is_no_page_is_refused(client: httpx.AsyncClient, path: str):
    answer = await client.get(path, headers={"accept": "*/*"})
    assert answer.status_code == 401
    assert "Sign in" in answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/static/a.css", "/_nicegui/3.18.0/static/vue.js"])
async def test_the_door_itself_is_open(client: httpx.AsyncClient, path: str):
    assert (await client.get(path, headers=PAGE)).status_code == 200


async def test_a_session_opens_and_says_who(client: httpx.AsyncClient):
    client.cookies.set(COOKIE, "good")
    answer = await client.get("/", headers=PAGE)
    assert answer.json() == {"who": "Ana"}
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


async def test_another_site_changes_nothing(client: httpx.AsyncClient):
    client.cookies.set(COOKIE, "good")
    foreign = await client.post("/sign-out", headers={"origin": "http://evil"})
    own = await client.post("/sign-out", headers={"origin": "http://console"})
    assert (foreign.status_code, own.status_code) == (403, 200)


async def test_a_socket_without_a_session_or_from_another_site_is_closed():
    reached: list[str] = []

    async def app(scope: object, receive: object, send: object) -> None:
        reached.append("yes")

    gate = Gate(app, authenticate)
    for cookie, origin in (
        ("", "http://console"),
        ("good", "http://evil"),
        ("good", "http://console"),
    ):
        sent: list[dict[str, object]] = []
        headers = [(b"host", b"console"), (b"origin", origin.encode())]
        headers.append((b"cookie", f"{COOKIE}={cookie}".encode()))
        scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io/", "headers": headers}

        async def receive() -> dict[str, object]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, object], sent: list[dict[str, object]] = sent) -> None:
            sent.append(message)

        await gate(scope, receive, send)  # type: ignore[arg-type]
        refused = [message["type"] for message in sent] == ["websocket.close"]
        assert refused == (not reached)
    assert reached == ["yes"]
