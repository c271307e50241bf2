"""`vita call-out`: the agent calls someone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.errors import ConfigurationError
from agent.settings import Settings, load_settings

if TYPE_CHECKING:
    from agent.calls.outbound import OutboundRequest
    from connectors.twilio.config import TwilioConfig


def call_out(
    *,
    line: Annotated[str, typer.Option(help="Number of the line that calls.")],
    to: Annotated[str, typer.Option(help="Number to call.")],
    consent: Annotated[
        str, typer.Option(help="What shows that this person agreed to be called.")
    ] = "",
    purpose: Annotated[str, typer.Option(help="Why, for the log.")] = "",
    time_zone: Annotated[
        str, typer.Option(help="Where this person lives; the line's zone if left out.")
    ] = "",
    twin: Annotated[str, typer.Option(help="Call through a carrier twin at this address.")] = "",
    agent: Annotated[
        str, typer.Option(help="Where `vita serve` answers, with --twin.")
    ] = "http://127.0.0.1:8080",
) -> None:
    """Have the running agent call someone, if nothing speaks against it."""
    from agent.calls.outbound import OutboundRequest
    from agent.cli.logs import logs_in

    settings = load_settings(**({"twilio_api_base_url": twin, "profile": "dev"} if twin else {}))
    with logs_in(settings.data_dir / "call-out.log"):
        request = OutboundRequest(line, to, consent, purpose, time_zone)
        call_id = asyncio.run(_place(settings, _account(settings, twin, agent), request))
    typer.echo(f"Calling. The log will have it: vita calls show {call_id}")


def _account(settings: Settings, twin: str, agent: str) -> TwilioConfig:
    from connectors.twilio.config import TwilioConfig
    from connectors.twilio.twin import TwinAccount

    if not twin:
        from agent.cli.agent_server import twilio_config

        return twilio_config(settings)
    account = TwinAccount()
    return TwilioConfig(account.sid, account.auth_token, agent.rstrip("/"), api_base_url=twin)


async def _place(settings: Settings, account: TwilioConfig, request: OutboundRequest) -> str:
    from contextlib import aclosing

    from agent.bootstrap import build
    from connectors.twilio.dialler import TwilioDialler

    async with (
        aclosing(TwilioDialler(account)) as dialler,
        build(settings, runner=_NoConversation(), dialler=dialler) as application,
    ):
        return (await application.outbound.place(request)).call_id


class _NoConversation:
    """The agent that answers is another process."""

    async def run(self, *_: Any) -> Any:
        raise ConfigurationError("Calls are answered by `vita serve`, not by this command.")
