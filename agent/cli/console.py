"""`vita console`: the supervisors' pages."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from agent.log import configure_logging
from agent.settings import load_settings

DEFAULT_PORT = 8070


def console(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
) -> None:
    """Serve the supervisors' console in the browser. Settings come from VITA_* variables."""
    from agent.console.serve import serve
    from connectors.server import listen

    settings = load_settings()
    configure_logging(settings.log_format, level=settings.log_level, show_pii=settings.log_pii)
    with listen(host, port) as bound:
        address, number = bound.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address

        def ready() -> None:
            typer.echo(f"vita console answers at http://{shown}:{number}")
            sys.stdout.flush()

        asyncio.run(serve(settings, bound, ready))
