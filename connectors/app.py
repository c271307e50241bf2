"""The web application callers come in by: every carrier's routes, health checks and measurements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from fastapi import FastAPI
from starlette.types import ASGIApp

from agent.api import CallDesk
from connectors.carrier import Carrier
from connectors.health import Checks, Fine, health_router
from connectors.twilio.carrier import TwilioCarrier
from connectors.twilio.config import TwilioConfig
from connectors.webrtc.carrier import WebCarrier
from connectors.webrtc.config import WebCallConfig


def build_app(
    desk: CallDesk,
    twilio: TwilioConfig | None,
    web: WebCallConfig | None = None,
    *,
    checks: Checks | None = None,
    about: Mapping[str, str] = MappingProxyType({}),
    metrics_token: str = "",
    mounts: Mapping[str, ASGIApp] = MappingProxyType({}),
) -> FastAPI:
    """Put the carriers in front of the desk.

    Args:
        desk: Admits and serves calls.
        twilio: The account whose webhooks are answered; None for no phones.
        web: Settings of the call pages; None for none.
        checks: What the process says about its health; nothing is wrong when absent.
        about: Facts served by `/healthz`, such as version and licence of the loaded weights.
        metrics_token: Bearer token of `/metrics`, which does not exist when it is empty.
        mounts: Further applications by the path they answer under, such as the REST interface.
    """
    carriers: list[Carrier] = []
    if twilio is not None:
        carriers.append(TwilioCarrier(desk, twilio))
    if web is not None:
        carriers.append(WebCarrier(desk, web))

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

    app.include_router(health_router(checks or Fine(), about, metrics_token))
    for path, mounted in mounts.items():
        app.mount(path, mounted)
    return app
