"""A customer's web site for the twin to call: documents by path, a media socket by path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from connectors.server import AppServer, listen
from connectors.twilio.twin import Twin, TwinAccount

Talk = Callable[["Socket"], Awaitable[None]]


@dataclass
class Hit:
    """One webhook that came in."""

    method: str
    path: str
    url: str
    fields: dict[str, str]
    headers: dict[str, str]


@dataclass
class Socket:
    """The site's end of a media stream."""

    websocket: WebSocket
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stream_sid(self) -> str:
        return str(next(m["streamSid"] for m in self.seen if m["event"] == "start"))

    async def until(self, event: str) -> dict[str, Any]:
        """Read up to the next message of a kind."""
        async with asyncio.timeout(10):
            while True:
                message: dict[str, Any] = json.loads(await self.websocket.receive_text())
                self.seen.append(message)
                if message["event"] == event:
                    return message

    async def send(self, event: str, body: dict[str, Any] | None = None) -> None:
        message: dict[str, Any] = {"event": event, "streamSid": self.stream_sid}
        if body is not None:
            message[event] = body
        await self.websocket.send_text(json.dumps(message))


@dataclass
class Site:
    """Documents by path; `{url}` and `{ws}` in them become the site's own addresses."""

    documents: dict[str, str | bytes] = field(default_factory=dict)
    talk: Talk | None = None
    content_type: str = "text/xml"
    hits: list[Hit] = field(default_factory=list)
    sockets: list[Socket] = field(default_factory=list)
    url: str = ""

    def paths(self) -> list[str]:
        return [hit.path for hit in self.hits]

    async def answer(self, request: Request) -> Response:
        async with request.form() as form:
            fields = {name: str(value) for name, value in form.items()}
        hit = Hit(request.method, request.url.path, str(request.url), fields, dict(request.headers))
        self.hits.append(hit)
        document = self.documents.get(hit.path)
        if document is None:
            return Response(status_code=404)
        if isinstance(document, bytes):
            return Response(document, media_type="audio/wav")
        ws = "ws" + self.url.removeprefix("http")
        body = document.replace("{url}", self.url).replace("{ws}", ws)
        return Response(body, media_type=self.content_type)

    async def socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        socket = Socket(websocket)
        self.sockets.append(socket)
        if self.talk is not None:
            await self.talk(socket)


@asynccontextmanager
async def site_and_twin(
    site: Site, account: TwinAccount | None = None, **twin_settings: Any
) -> AsyncIterator[Twin]:
    """The site served on loopback, and a twin that asks its `/voice` about every call.

    `{url}` in the twin's settings becomes the site's address.
    """
    app = FastAPI()
    app.add_api_websocket_route("/media", site.socket)
    app.add_route("/{path:path}", site.answer, methods=["GET", "POST"])
    bound = listen("127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    settings: dict[str, Any] = {
        name: value.replace("{url}", site.url) if isinstance(value, str) else value
        for name, value in ({"voice_url": "{url}/voice"} | twin_settings).items()
    }
    async with (
        AppServer(app, bound=bound),
        Twin(account=account or TwinAccount.fresh(), **settings) as twin,
    ):
        yield twin
