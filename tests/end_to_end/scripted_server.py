"""A model server with a scripted model, as a process of its own: `python scripted_server.py ANSWER [PACE]`.

Every answer is the given text, spoken as a tone; with a pace, each word takes so many seconds.
It is started and stopped as any model server is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from tests.serving.scripted_model import DONE, QUERY, ScriptedModel, spoken
from vita_model.engine.voice import Audio, ReplyEvent, Request
from vita_model.serving.door import open_listener
from vita_model.serving.run import run_server
from vita_model.serving.server import ServerConfig

DRAIN_S = 1.0


class Parrot(ScriptedModel):
    """Says the same whatever it hears."""

    async def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        pace_s = float(sys.argv[2]) if len(sys.argv) > 2 else 0
        for event in [QUERY, *spoken(sys.argv[1]), DONE]:
            if isinstance(event, Audio) and pace_s:
                await asyncio.sleep(pace_s)
            yield event


def main() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        asyncio.run(run_server(Parrot(), listener, ServerConfig(), DRAIN_S))


if __name__ == "__main__":
    main()
