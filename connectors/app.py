"""The web application callers come in by: every carrier's routes, and two health checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from agent.api import CallDesk
from connectors.carrier import Carrier
from connectors.twilio.carrier import TwilioCarrier
from connectors.twilio.config import TwilioConfig


def build_app(
    desk: CallDesk,
    twilio: TwilioConfig,
    *,
    is_ready: Callable[[], bool] = lambda: True,
    about: Mapping[str, str] = MappingProxyType({}),
) -> FastAPI:
    """Put the carriers in front of the desk.

    Args:
        desk: Admits and serves calls.
        twilio: The account whose webhooks are answered.
        is_ready: False while draining or without a model: `/readyz` then answers 503.
        about: Facts served by `/healthz`, such as version and licence of the loaded weights.
    """
    carriers: list[Carrier] = [TwilioCarrier(desk, twilio)]

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for carrier in carriers:
                await carrier.close()

    app = FastAPI(title="Calls", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    for carrier in carriers:
        app.include_router(carrier.router())

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok", **about})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        if is_ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, status_code=503)

    return app
