"""The call page and the requests it makes before a call is connected."""

from __future__ import annotations

import asyncio
import html
import re
import secrets
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from agent.api import CallDesk, Entrance, IncomingCall
from agent.errors import LineNotFoundError, VitaError
from agent.log import get_logger
from connectors.webrtc.calls import CARRIER, WebCalls
from connectors.webrtc.config import WebCallConfig
from connectors.webrtc.rates import RateLimit

log = get_logger(__name__)

PAGE = Path(__file__).parent / "page"
MAX_BODY = 64 * 1024
MOST_CANDIDATES = 40

_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Short = Annotated[str, Field(max_length=128)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Offer(_Body):
    call: Short
    token: Short
    sdp: Annotated[str, Field(max_length=MAX_BODY)]


class _Candidate(_Body):
    candidate: Annotated[str, Field(max_length=1024)]
    sdpMid: Short = ""  # noqa: N815 - the browser's name
    sdpMLineIndex: int = 0  # noqa: N815


class _Candidates(_Body):
    peer: Short
    candidates: Annotated[list[_Candidate], Field(max_length=MOST_CANDIDATES)]


class _Press(_Body):
    call: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}\.[A-Za-z0-9_-]{22}$")] | None = None


B = TypeVar("B", bound=_Body)


class _RefusedError(VitaError):
    """A request that is answered with `status`, `code` and a sentence."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.http_status = status


class Signalling:
    """Routes under `/call`. Nothing of a call is touched before origin and rate are checked."""

    def __init__(self, desk: CallDesk, calls: WebCalls, config: WebCallConfig) -> None:
        self._desk = desk
        self._calls = calls
        self._config = config
        self._rates = RateLimit(config.calls_per_minute)
        self._files = {path.name: path.read_bytes() for path in PAGE.iterdir()}

    def router(self) -> APIRouter:
        """Page, its files, and the three requests."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/call/assets/{name}", self.asset, methods=["GET"])
        router.add_api_route("/call/{line}", self.page, methods=["GET"])
        router.add_api_route("/call/{line}/calls", self.begin, methods=["POST"])
        router.add_api_route("/call/{line}/offer", self.offer, methods=["POST"])
        router.add_api_route("/call/{line}/offer", self.candidates, methods=["PATCH"])
        return router

    async def page(self, line: str) -> Response:
        """The line's call page."""
        try:
            entrance = self._desk.entrance(_entry(line))
        except LineNotFoundError:
            return self._html("not-found.html", {}, status=404)
        about = {
            "line": line,
            "business": entrance.business,
            "disclosure": _disclosure(entrance),
            "video": "true" if entrance.video else "false",
        }
        return self._html("call.html", about)

    async def asset(self, name: str) -> Response:
        """A file of the page."""
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in self._files:
            return Response(status_code=404)
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return Response(self._files[name], media_type=kind, headers=headers)

    async def begin(self, line: str, request: Request) -> Response:
        """A one-use token and the servers to connect through.

        The caller pressed "Call", or the page goes on with a call whose connection was lost.
        """
        return await self._answered(request, self._begin(line, request))

    async def offer(self, line: str, request: Request) -> Response:
        """The browser's description of its side, for ours."""
        return await self._answered(request, self._offer(line, request))

    async def candidates(self, request: Request) -> Response:
        """Further addresses of a browser that has made its offer."""
        return await self._answered(request, self._candidates(request))

    async def _begin(self, line: str, request: Request) -> Response:
        body = await self._read(request, _Press)
        if body.call is not None:
            _require_line(line, body.call)
        address = request.client.host if request.client else ""
        if not self._rates.allows(address, time.monotonic()):
            raise _RefusedError(429, "too_many_calls", "Too many calls: wait a minute.")
        carrier_call_id = body.call or f"{line}.{secrets.token_urlsafe(16)}"
        call = IncomingCall(CARRIER, carrier_call_id, _entry(line), "")
        async with asyncio.timeout(self._config.desk_s):
            admission = await self._desk.admit(call)
        ice = self._config.ice.servers(time.time(), admission.call_id)
        return JSONResponse(
            {
                "call": carrier_call_id,
                "token": admission.token,
                "ice_servers": [server.public() for server in ice],
            },
            status_code=201,
            headers={"Cache-Control": "no-store"},
        )

    async def _offer(self, line: str, request: Request) -> Response:
        body = await self._read(request, _Offer)
        _require_line(line, body.call)
        video = self._desk.entrance(_entry(line)).video
        async with asyncio.timeout(self._config.desk_s):
            call_id = await self._desk.claim(body.token, body.call)
        try:
            answer = await self._calls.answer(call_id, body.call, body.sdp, video=video)
        except VitaError:
            await self._desk.ended(CARRIER, body.call, "bad_offer")
            raise
        return JSONResponse({"peer": answer.peer, "sdp": answer.sdp})

    async def _candidates(self, request: Request) -> Response:
        body = await self._read(request, _Candidates)
        found = [(each.candidate, each.sdpMid, each.sdpMLineIndex) for each in body.candidates]
        if not await self._calls.add_candidates(body.peer, found):
            raise _RefusedError(404, "no_such_call", "There is no such call any more.")
        return Response(status_code=204)

    async def _answered(self, request: Request, work: Coroutine[None, None, Response]) -> Response:
        """The answer, or the problem as JSON: `code` for the page, `message` for a person."""
        try:
            return await work
        except VitaError as error:
            log.info("web_request_refused", path=request.url.path, reason=error.code)
            return _problem(error.http_status, error.code, str(error))
        except TimeoutError:
            log.warning("web_request_timed_out", path=request.url.path)
            return _problem(503, "not_in_time", "The agent does not answer: try again.")

    async def _read(self, request: Request, shape: type[B]) -> B:
        """The request's body, once it may be looked at.

        Raises:
            _RefusedError: It comes from a foreign page, is too long or of another shape.
        """
        headers = request.headers
        if not self._config.trusts(headers.get("origin", ""), headers.get("host", "")):
            raise _RefusedError(403, "foreign_page", "Calls begin on the call page only.")
        body = bytearray()
        async with asyncio.timeout(self._config.desk_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise _RefusedError(413, "too_long", "The request is too long.")
        try:
            return shape.model_validate_json(bytes(body))
        except ValidationError:
            raise _RefusedError(400, "bad_request", "The request makes no sense.") from None

    def _html(self, name: str, about: dict[str, str], status: int = 200) -> Response:
        """A page with `{{key}}` replaced by what it is about."""
        text = self._files[name].decode()
        filled = re.sub(r"\{\{(\w+)\}\}", lambda found: html.escape(about[found[1]]), text)
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "img-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {self._config.frame_ancestors()}"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Permissions-Policy": "microphone=(self), camera=(self)",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return HTMLResponse(filled, status_code=status, headers=headers)


def _entry(line: str) -> str:
    return f"web:{line}"


def _require_line(line: str, carrier_call_id: str) -> None:
    if carrier_call_id.partition(".")[0] != line:
        raise _RefusedError(403, "another_line", "The call is another line's.")


def _disclosure(entrance: Entrance) -> str:
    recorded = "This call is recorded." if entrance.recorded else ""
    return " ".join(text for text in (entrance.disclosure, recorded) if text)


def _problem(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=status)
