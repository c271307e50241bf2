"""What the routes stand on, and who asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BeforeValidator
from typing_extensions import override

from agent.calls.line_source import LineSource
from agent.calls.lines import LineCatalog
from agent.calls.outbound import OutboundCalls
from agent.errors import NotSignedInError
from agent.supervisor.access import Actor
from agent.supervisor.cursor import LARGEST, SIZE
from agent.supervisor.desk import SupervisorDesk
from agent.supervisor.rate_limit import RateLimit
from agent.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Everything behind the routes. `requests` counts those of each key, `refusals` wrong keys."""

    desk: SupervisorDesk
    lines: LineSource
    catalog: LineCatalog
    registry: ToolRegistry
    outbound: OutboundCalls
    requests: RateLimit
    refusals: RateLimit
    version: str


def _parts(request: Request) -> ApiParts:
    return cast("ApiParts", request.app.state.parts)


Parts = Annotated[ApiParts, Depends(_parts)]

_NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="va_PREFIX_SECRET", description="A key from `vita keys create`."
)


async def _actor(
    request: Request,
    parts: Parts,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Actor:
    ip = request.client.host if request.client else ""
    if given is None:
        raise NotSignedInError(
            "Give an API key as `Authorization: Bearer va_…`: `vita keys create` makes one."
        )
    try:
        actor = await parts.desk.keys.actor(given.credentials, ip=ip)
    except NotSignedInError:
        await parts.refusals.take(f"refused:{ip}")
        raise
    await parts.requests.take(f"key:{actor.id}")
    return actor


Who = Annotated[Actor, Depends(_actor)]
Limit = Annotated[int, Query(ge=1, le=LARGEST, description="Items on a page.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; none to start.")
]
Reveal = Annotated[
    bool,
    Query(description="Personal data as it is. Needs `reveal`; that somebody looked is kept."),
]
PAGE = SIZE


def _no_number(given: Any) -> Any:
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        raise ValueError("a time looks like 2026-03-02T09:30:00Z")
    return given


Time = Annotated[AwareDatetime, BeforeValidator(_no_number)]
"""A time with its zone; a bare number, which could mean seconds, is none."""


class TaggedRoute(APIRoute):
    """A route whose JSON answers carry an entity tag, and which answers 304 to who has it already."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            response = await inner(request)
            body = getattr(response, "body", None)
            if request.method != "GET" or response.status_code != 200 or not body:
                return response
            tag = f'"{sha256(body).hexdigest()[:32]}"'
            kept = {"ETag": tag, "Cache-Control": "private, no-cache"}
            if has_tag(request, tag):
                return Response(status_code=304, headers=kept)
            response.headers.update(kept)
            return response

        return handle


def has_tag(request: Request, tag: str) -> bool:
    """Whether who asks has the answer with this tag already."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in {
        each.strip().removeprefix("W/") for each in given.split(",")
    }
