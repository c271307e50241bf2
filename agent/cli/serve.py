"""`vita serve`: the agent, its webhooks and its media socket."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.errors import ModelUnavailableError
from agent.log import configure_logging, get_logger
from agent.settings import Settings, load_settings

if TYPE_CHECKING:
    from connectors.twilio.config import TwilioConfig

log = get_logger(__name__)


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    lines: Annotated[Path | None, typer.Option(help="Lines file.")] = None,
    model_url: Annotated[
        str | None, typer.Option(help="Realtime endpoints of the models, by commas.")
    ] = None,
    twin: Annotated[
        str | None, typer.Option(help="Answer a carrier twin at this address, not Twilio.")
    ] = None,
    drain_s: Annotated[
        float, typer.Option(min=0, help="Seconds that running calls get to end at shutdown.")
    ] = 120.0,
) -> None:
    """Answer calls. Options left out come from VITA_* variables."""
    from connectors.server import listen

    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "lines_file": lines,
        "model_url": model_url,
        "twilio_api_base_url": twin,
        "profile": "dev" if twin else None,
    }
    settings = load_settings(**{key: value for key, value in given.items() if value is not None})
    configure_logging(settings.log_format, level=settings.log_level, show_pii=settings.log_pii)
    with listen(settings.host, settings.port) as bound:
        account = _twin_account(settings, bound, twin) if twin else _account(settings)
        asyncio.run(_serve(settings, account, bound, drain_s))


def _account(settings: Settings) -> TwilioConfig | None:
    """None when nothing of an account is set: then browsers call."""
    from agent.cli.agent_server import twilio_config

    token = settings.twilio_auth_token.get_secret_value()
    return twilio_config(settings) if settings.twilio_account_sid or token else None


def _twin_account(settings: Settings, bound: socket.socket, twin: str) -> TwilioConfig:
    """The account every carrier twin has; its webhooks come straight to our own address."""
    from connectors.twilio.config import TwilioConfig
    from connectors.twilio.twin import TwinAccount

    host, port = bound.getsockname()[:2]
    account = TwinAccount()
    return TwilioConfig(
        account_sid=account.sid,
        auth_token=account.auth_token,
        public_url=settings.public_url or f"http://{host}:{port}",
        api_base_url=twin,
    )


async def _serve(
    settings: Settings, account: TwilioConfig | None, bound: socket.socket, drain_s: float
) -> None:
    from agent.cli.agent_server import model_card, serving_agent

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        about = await model_card(*settings.model_urls)
    except ModelUnavailableError as error:
        # The model server may come later; until then callers hear an apology.
        log.warning("model_not_there", reason=str(error))
        about = {}
    async with serving_agent(settings, account, bound, about=about) as agent:
        lines = agent.application.lines
        log.info(
            "agent_answers",
            url=agent.url,
            public_url=settings.public_url,
            lines=len(lines),
            call_pages=[f"{agent.url}/call/{line.web}" for line in lines if line.web],
            **about,
        )
        await stop.wait()
        log.info("agent_drains", calls=agent.application.desk.slots.in_use, limit_s=drain_s)
        stop.clear()
        await _drain(agent.drain(drain_s), stop)


async def _drain(draining: Any, again: asyncio.Event) -> None:
    """Wait for the running calls; a second signal ends the waiting."""
    async with asyncio.TaskGroup() as group:
        calls = group.create_task(draining, name="serve.drain")
        hurry = group.create_task(again.wait(), name="serve.hurry")
        await asyncio.wait({calls, hurry}, return_when=asyncio.FIRST_COMPLETED)
        calls.cancel()
        hurry.cancel()
