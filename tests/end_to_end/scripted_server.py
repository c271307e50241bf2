"""A model server with a scripted model, as a process of its own: `python scripted_server.py ANSWER [PACE]`.

Every answer is the given text, spoken as a tone; with a pace, each word takes so many seconds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from tests.serving.scripted_model import DONE, QUERY, ScriptedModel, spoken
from vita_model.engine.voice import Audio, ReplyEvent, Request
from vita_model.serving.door import open_listener
from vita_model.serving.server import ServerConfig, serving


class Parrot(ScriptedModel):
    """Says the same whatever it hears."""

    async def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        pace_s = float(sys.argv[2]) if len(sys.argv) > 2 else 0
        for event in [QUERY, *spoken(sys.argv[1]), DONE]:
            if isinstance(event, Audio) and pace_s:
                await asyncio.sleep(pace_s)
            yield event


async def main() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(Parrot(), listener, ServerConfig()):
            sys.stdout.write(f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
