"""Health checks, measurements, and connections that only want to stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from fastapi import FastAPI, Request, WebSocket
from prometheus_client.parser import text_string_to_metric_families

from agent.prompt_http import PromptHTTP
from connectors.app import build_app
from connectors.server import AppServer
from connectors.twilio.config import VOICE_PATH, TwilioConfig
from tests.connectors.desk import EchoDesk

pytestmark = pytest.mark.integration

TOKEN = "for-the-one-who-measures"


class Sick:
    alive = False

    async def not_ready(self) -> list[str]:
        return ["draining", "model"]

    async def fill_gauges(self) -> None: ...


@asynccontextmanager
async def served(checks: Sick | None = None, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
    config = TwilioConfig("AC1", "token", "http://127.0.0.1:1")
    app = build_app(EchoDesk(), config, checks=checks, metrics_token=token)
    async with (
        AppServer(app) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        yield client


async def test_a_sick_service_says_what_is_wrong_and_is_still_there() -> None:
    async with served(Sick()) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/livez")).status_code == 503
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining", "model"])


async def test_a_healthy_one_is_alive_and_ready() -> None:
    async with served() as client:
        answers = [await client.get(path) for path in ("/livez", "/readyz")]
    assert [each.status_code for each in answers] == [200, 200]


async def test_measurements_are_for_those_who_know_the_token() -> None:
    async with served() as client:
        assert (await client.get("/metrics")).status_code == 404
    async with served(token=TOKEN) as client:
        assert (await client.get("/metrics")).status_code == 401
        wrong = {"Authorization": "Bearer another"}
        assert (await client.get("/metrics", headers=wrong)).status_code == 401
        assert (await client.post(VOICE_PATH, data={"CallSid": "CA1"})).status_code == 403
        told = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(told.text)
        for sample in family.samples
    }
    assert values["va_webhooks_rejected_total", "signature"] >= 1
    assert values["va_webhook_seconds_count", "voice"] >= 1


@pytest.mark.parametrize(
    ("trusted", "seen"), [("127.0.0.1", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")]
)
async def test_only_trusted_proxies_say_whom_they_speak_for(trusted: str, seen: str) -> None:
    app = FastAPI()

    @app.get("/who")
    async def who(request: Request) -> str:
        return request.client.host if request.client else ""

    async with (
        AppServer(app, trusted_proxies=trusted) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        answer = await client.get("/who", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.json() == seen


async def test_connections_that_ask_nothing_are_closed_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PromptHTTP, "PERIOD_S", 0.5)
    app = FastAPI()
    asked = asyncio.Event()

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    @app.get("/slow")
    async def slow() -> str:
        await asked.wait()
        return "done"

    async with AppServer(app) as server, asyncio.TaskGroup() as group:
        host, port = server.url.removeprefix("http://").split(":")
        async with websockets.connect(f"ws://{host}:{port}/echo", proxy=None) as socket:
            client = await asyncio.open_connection(host, int(port))
            client[1].write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            silent = await asyncio.open_connection(host, int(port))
            dripping = await asyncio.open_connection(host, int(port))
            drip = group.create_task(_drip(dripping[1]))
            for reader, _ in (silent, dripping):
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            drip.cancel()
            asked.set()
            assert b"200" in await client[0].readline()
            await socket.send("still here")
            assert await socket.recv() == "still here"
            for _, writer in (client, silent, dripping):
                writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\n")
    while True:
        writer.write(b"X-A: b\r\n")
        await asyncio.sleep(0.1)
