"""Health checks and measurements by HTTP."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from agent import metrics


class Checks(Protocol):
    """What the process says about itself; `agent.health.Health` is one."""

    @property
    def alive(self) -> bool:
        """Whether a restart would not help."""
        ...

    async def not_ready(self) -> Sequence[str]:
        """Why new calls should go elsewhere; empty when they should come."""
        ...

    async def fill_gauges(self) -> None:
        """Bring the gauges up to date."""
        ...


class Fine:
    """A process that says nothing is wrong."""

    alive = True

    async def not_ready(self) -> Sequence[str]:
        """Nothing speaks against new calls."""
        return ()

    async def fill_gauges(self) -> None:
        """There are none."""


def health_router(checks: Checks, about: Mapping[str, str], metrics_token: str) -> APIRouter:
    """`/livez`, `/readyz`, `/healthz`, and `/metrics` for those who know the token.

    Args:
        checks: The process.
        about: Facts served by `/healthz`, such as version and licence of the loaded weights.
        metrics_token: Bearer token of `/metrics`, which does not exist when it is empty.
    """
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return _answer("alive" if checks.alive else "late", good=checks.alive)

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        reasons = list(await checks.not_ready())
        return _answer("not ready" if reasons else "ready", good=not reasons, reasons=reasons)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok", **about})

    @router.get("/metrics")
    async def read_metrics(request: Request) -> Response:
        if not metrics_token:
            return Response(status_code=404)
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {metrics_token}".encode()):
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        await checks.fill_gauges()
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return router


def _answer(status: str, *, good: bool, reasons: Sequence[str] = ()) -> JSONResponse:
    body: dict[str, object] = {"status": status}
    if reasons:
        body["reasons"] = list(reasons)
    return JSONResponse(body, status_code=200 if good else 503)
