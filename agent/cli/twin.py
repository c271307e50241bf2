"""`vita twin`: a local stand-in for the carrier."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from connectors.twilio.twin import Twin

DEFAULT_PORT = 8092


def twin(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
    agent: Annotated[
        str, typer.Option(help="Where the agent answers, as given to `vita serve`.")
    ] = "http://127.0.0.1:8080",
) -> None:
    """Run a carrier twin: a local Twilio to call the agent through."""
    from connectors.twilio.config import STATUS_PATH, VOICE_PATH
    from connectors.twilio.twin import run_twin

    base = agent.rstrip("/")

    async def run() -> None:
        here = asyncio.current_task()
        if here is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, here.cancel)
        with suppress(asyncio.CancelledError):
            await run_twin(
                host, port, base + VOICE_PATH, status_url=base + STATUS_PATH, on_ready=_say
            )

    asyncio.run(run())


def _say(twin: Twin) -> None:
    typer.echo(f"The twin answers at {twin.url}; its own interface is at {twin.url}/_emu/docs.")
    typer.echo(f"Start the agent with:  vita serve --twin {twin.url}")
    typer.echo(f"Then call it with:     vita call --twin {twin.url} --wav FILE --line NUMBER")
