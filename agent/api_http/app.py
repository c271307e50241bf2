"""The REST interface as an application of its own, to be mounted at `/api/v1`."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from pydantic import BaseModel

from agent.api_http import calls, lines, live, people, recordings, remarks, statistics
from agent.api_http.limits import BodyLimit
from agent.api_http.parts import ApiParts
from agent.api_http.problems import MEDIA_TYPE, Problem, answer_with_problems
from agent.bootstrap import Application
from agent.clock import SystemClock
from agent.supervisor.rate_limit import RateLimit

PATH = "/api/v1"
WINDOW_S = 60
REFUSALS = 30

ROUTERS = (
    calls.router,
    recordings.tagged,
    recordings.router,
    live.router,
    remarks.router,
    lines.router,
    statistics.router,
    people.router,
)

_TEXT = """\
What supervisors see and do, for programs. Every request needs an API key; personal data is masked
unless `reveal` is asked for and allowed. Errors are problem documents with a stable `code`.
"""


class ApiHealth(BaseModel):
    """The interface answers."""

    status: str
    version: str


def api_parts(application: Application) -> ApiParts:
    """What the routes need of a running agent."""
    settings, store = application.settings, application.store
    clock = SystemClock()
    return ApiParts(
        desk=application.supervisors,
        lines=application.lines,
        catalog=application.catalog,
        registry=application.registry,
        outbound=application.outbound,
        requests=RateLimit(store, clock, settings.api_requests_per_minute, WINDOW_S),
        refusals=RateLimit(store, clock, REFUSALS, WINDOW_S),
        version=version("vita-agent"),
    )


def build_api(parts: ApiParts) -> FastAPI:
    """The routes over their parts."""
    problems = {"model": Problem, "content": {MEDIA_TYPE: {}}}
    app = FastAPI(
        title="vita-agent",
        version=parts.version,
        description=_TEXT,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=dict.fromkeys(("401", "403", "404", "422", "429", "503"), problems),
        servers=[{"url": PATH}],
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.add_middleware(BodyLimit)
    answer_with_problems(app, [route for router in ROUTERS for route in router.routes])
    for router in ROUTERS:
        app.include_router(router)

    @app.get("/health", tags=["health"])
    async def health() -> ApiHealth:
        """Whether the interface answers. Needs no key."""
        return ApiHealth(status="ok", version=parts.version)

    return app
