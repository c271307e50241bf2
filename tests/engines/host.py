"""Gives an engine jobs as a voice model does, and keeps what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vita_model.engine.answering import Stream
from vita_model.engine.engine import Engine
from vita_model.engine.job import Job, Prompt, Usage
from vita_model.engine.scheduler import Scheduler
from vita_model.engine.voice import Call, Done, Marker, State, Text


@dataclass(slots=True)
class Answer:
    """All events of a job."""

    usage: Usage
    state: State | None = None
    text: str = ""
    calls: list[Call] = field(default_factory=list)


class Host:
    """An engine on a scheduler.

    Attributes:
        longest: Most rows of a conversation, if the engine has a limit of its own.
    """

    def __init__(self, engine: Engine, longest: int | None = None) -> None:
        self.engine = engine
        self.longest = longest
        self._scheduler = Scheduler([engine], 1)

    def begin(
        self,
        session: str,
        names: Sequence[Hashable],
        heard: Mapping[Hashable, Tensor] | None = None,
        expects: tuple[Marker, ...] = ("query",),
        **plan: Any,
    ) -> tuple[Stream, Usage]:
        """Submit a job."""
        stream, usage = Stream(), Usage()

        def end(error: BaseException | None) -> None:
            stream.end(error or Done("stop", 0, 0, 0))

        prompt = Prompt([*names], dict(heard or {}), expects)
        job = Job(session, prompt, stream.put, end, stream.stopped, usage=usage, **plan)
        self.engine.submit(job)
        self._scheduler.wake()
        return stream, usage

    async def ask(self, session: str, names: Sequence[Hashable], **plan: Any) -> Answer:
        """A whole job."""
        stream, usage = self.begin(session, names, **plan)
        answer = Answer(usage)
        async with asyncio.timeout(100):
            async for event in stream.events():
                match event:
                    case State():
                        answer.state = event
                    case Text(delta):
                        answer.text += delta
                    case Call():
                        answer.calls.append(event)
        return answer

    def leave(self, stream: Stream) -> None:
        """Nobody reads it any more."""
        stream.stop()
        self._scheduler.wake()

    def close(self) -> None:
        """End everything."""
        self._scheduler.close()
        self.engine.stop()
