"""Every error as a problem document (RFC 9457), with the `code` that docs and programs go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from agent.calls.lines_file import LinesError
from agent.errors import NotSignedInError, TooManyRequestsError, VitaError
from agent.log import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:vita-agent:error:"
CHALLENGE = 'Bearer realm="vita-agent"'

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_ADVICE = {
    404: "There is nothing at this address: /api/v1/openapi.json lists what there is.",
    405: "This address does not take this method: the header Allow names those it takes.",
}


class Mistake(BaseModel):
    """One thing that is wrong in a request: where, and what."""

    where: str
    what: str


class Problem(BaseModel):
    """An error. `code` is stable; `detail` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[Mistake] = []


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mistake] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document as a response."""
    document = Problem(
        type=f"{TYPE}{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        errors=list(errors),
    )
    content = document.model_dump(exclude_defaults=True)
    return JSONResponse(content, status, {**(headers or {})}, media_type=MEDIA_TYPE)


def problem_of(error: VitaError) -> JSONResponse:
    """An expected error as a response."""
    headers: dict[str, str] = {}
    mistakes: list[Mistake] = []
    match error:
        case NotSignedInError():
            headers["WWW-Authenticate"] = CHALLENGE
        case TooManyRequestsError():
            headers["Retry-After"] = str(max(round(error.retry_after_s), 1))
        case LinesError():
            mistakes = [
                Mistake(where=": ".join(filter(None, (each.line, each.key))), what=each.what)
                for each in error.problems
            ]
        case _:
            pass
    return problem(error.http_status, error.code, str(error), errors=mistakes, headers=headers)


def answer_with_problems(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make an application answer every error, its own and ours, with a problem document.

    `routes` are all there are: which methods an address takes is known by them.
    """

    @app.exception_handler(VitaError)
    async def expected(_request: Request, error: VitaError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        mistakes = [_mistake(each) for each in error.errors()]
        detail = "; ".join(f"{each.where}: {each.what}" for each in mistakes[:3])
        return problem(422, "invalid_request", f"{detail}.", errors=mistakes)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        # A body that is no JSON is as wrong as one that says the wrong things.
        status = 422 if error.status_code == 400 else error.status_code
        detail = _ADVICE.get(status, f"{error.detail}.")
        code = _CODES.get(status, "invalid_request" if status < 500 else "internal")
        headers = {"Allow": _allowed(routes, request)} if status == 405 else error.headers
        return problem(status, code, detail, headers=headers)

    @app.exception_handler(Exception)
    async def broken(_request: Request, _error: Exception) -> JSONResponse:
        # The server logs the error itself, with its trace.
        return problem(500, "internal", "Something broke here: the agent's log says what.")


def _allowed(routes: Sequence[BaseRoute], request: Request) -> str:
    """Every method of an address: each route knows only its own."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))


def _mistake(error: Mapping[str, Any]) -> Mistake:
    """What was given is not repeated: it may be personal."""
    where = ".".join(str(part) for part in error["loc"])
    return Mistake(where=where, what=str(error["msg"]))
