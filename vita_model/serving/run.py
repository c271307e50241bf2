"""The process of a model server: from its listening address to its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from typing import Final

from vita_model.engine.voice import VoiceModel
from vita_model.serving.server import REALTIME_PATH, ServerConfig, serving

EXIT_STUCK: Final = 70
"""The engine stood still: start the process again."""


async def run_server(
    model: VoiceModel, listener: socket.socket, config: ServerConfig, drain_s: float
) -> None:
    """Serve until SIGTERM or SIGINT, then let sessions end; a second signal ends them at once.

    A stuck engine ends the process: its threads cannot be ended, so nothing after it would run.

    Raises:
        ListenError: another server took the address first.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    try:
        async with serving(model, listener, config) as server:
            host, port = listener.getsockname()[:2]
            card = model.card
            print(f"{card.name} answers at ws://{host}:{port}{REALTIME_PATH}", flush=True)
            print(f"Licence of the weights: {card.licence}. {card.licence_note}", flush=True)
            async with asyncio.TaskGroup() as group:
                stuck = group.create_task(server.stuck.wait(), name="stuck")
                stopped = group.create_task(stop.wait(), name="stop")
                await asyncio.wait([stuck, stopped], return_when=asyncio.FIRST_COMPLETED)
                drained = group.create_task(server.drain(drain_s), name="drain")
                hurried = group.create_task(hurry.wait(), name="hurry")
                if stopped.done():
                    await asyncio.wait(
                        [stuck, drained, hurried], return_when=asyncio.FIRST_COMPLETED
                    )
                if stuck.done():
                    _die()
                for task in (stuck, stopped, drained, hurried):
                    task.cancel()
    finally:
        await model.close()


def _die() -> None:
    print("The engine has stopped; this server has to be started again.", file=sys.stderr)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STUCK)
