"""The console as one web application: pages, sign-in, media, behind the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from nicegui import ui
from starlette.staticfiles import StaticFiles

from agent.console.failures import handle_failures
from agent.console.gate import Gate
from agent.console.media import media_routes
from agent.console.pages import audit, call, calls, charts, keys, lines, live, people, tools
from agent.console.parts import Parts
from agent.console.sign_in import sign_in_routes
from agent.tasks import TaskOwner

STATIC = Path(__file__).with_name("static")
MODEL_CARD_EVERY_S = 60.0
HEAD = """
<link rel="stylesheet" href="/static/console.css">
<link rel="stylesheet" href="/static/call.css">
<link rel="icon" href="/static/icon.svg">
<script type="module" src="/static/console.js"></script>
<script>
  document.cookie = "vita_zone=" + Intl.DateTimeFormat().resolvedOptions().timeZone + "; path=/; max-age=31536000; samesite=lax";
  const chosen = document.cookie.match(/vita_scheme=(dark|light)/);
  const dark = chosen ? chosen[1] === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.style.background = dark ? "#0f1318" : "#f5f6f8";
</script>
"""


def build_console(parts: Parts) -> FastAPI:
    """Put the pages together. Once per process: the pages' framework knows one application only."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with TaskOwner("console") as tasks:
            _ = tasks.spawn(_keep_fresh(parts), name="model_card")
            yield

    app = FastAPI(
        title="Console", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.include_router(sign_in_routes(parts.desk.sign_ins, parts.desk.users, parts.about))
    app.include_router(media_routes(parts))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    ui.add_head_html(HEAD, shared=True)
    for page in (live, calls, call, charts, lines, tools, people, keys, audit):
        page.add(parts)
    handle_failures()
    ui.run_with(
        app,
        title="vita",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )
    app.add_middleware(Gate, authenticate=parts.authenticate)
    return app


async def _keep_fresh(parts: Parts) -> None:
    while True:
        await parts.about.refresh()
        await asyncio.sleep(MODEL_CARD_EVERY_S)
