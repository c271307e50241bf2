"""Answers of one model: its language lane writes them, its speech lane speaks them meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from vita_model.engine.answering import Answering, Speech, Stream
from vita_model.engine.engine import Engine
from vita_model.engine.job import Cancelled, Job, Prompt
from vita_model.engine.layout import Laid
from vita_model.engine.scheduler import Lane, Scheduler
from vita_model.engine.voice import Audio, Done, ReplyEvent, Request, State, Text

WORTH_ROWS = 16
"""New rows worth a pass of the language model of their own: it takes about as long as for one."""


class SpeechLane(Lane, Protocol):
    """Speaks the growing texts of all answers."""

    @property
    def speaking(self) -> int:
        """Answers being spoken."""
        ...

    def begin(
        self,
        emit: Callable[[Audio], None],
        end: Callable[[BaseException | None], None],
        cancelled: Callable[[], bool],
    ) -> Speech:
        """Speak one more answer. Wake the scheduler when it has text.

        Args:
            emit: Takes the pieces, in the lane's thread.
            end: Called once, with None when everything has sounded or nobody listens, or with
                what went wrong.
            cancelled: Nobody listens any more.
        """
        ...


class Replies:
    """Streams answers, spoken texts, and the end of prompts that are only computed."""

    def __init__(self, engine: Engine, mouth: SpeechLane, scheduler: Scheduler) -> None:
        self._engine, self._mouth, self._scheduler = engine, mouth, scheduler

    async def compute(self, session_id: str, prompt: Prompt, least: int = 1) -> None:
        """Bring a session's cache to a prompt, unless nobody waits for it any more.

        Args:
            session_id: Whose cache.
            prompt: All rows; answers to it are not asked for.
            least: Rows that must be missing for it to be worth it.
        """
        stream = Stream()
        alone = replace(prompt, expects=())
        self._engine.submit(
            Job(session_id, alone, stream.put, stream.put, stream.stopped, least=least)
        )
        async for _ in self._follow(stream):
            pass

    async def compute_ahead(self, session_id: str, prompt: Prompt) -> None:
        """Like `compute`, while nothing else is to be done and until the session has another job."""
        stream = Stream()

        def end(error: BaseException | None) -> None:
            stream.put(None if isinstance(error, Cancelled) else error)

        alone = replace(prompt, expects=())
        self._engine.submit(
            Job(
                session_id,
                alone,
                stream.put,
                end,
                stream.stopped,
                least=WORTH_ROWS,
                ahead=True,
            )
        )
        async for _ in self._follow(stream):
            pass

    async def write(self, session_id: str, prompt: Prompt, limit: int) -> str:
        """What the model writes to a prompt: text alone, nothing of it is spoken."""
        stream = Stream()
        self._engine.submit(
            Job(session_id, prompt, stream.put, stream.put, stream.stopped, limit=limit)
        )
        async with aclosing(self._follow(stream)) as events:
            return "".join([e.delta async for e in events if isinstance(e, Text)]).strip()

    async def answer(self, request: Request, laid: Laid) -> AsyncGenerator[ReplyEvent]:
        """Answer a conversation that has been laid out."""
        stream = Stream()
        if laid.silent:
            stream.put(State("noise", {"noise": 1.0}))
            rows = len(laid.prompt.names)
            stream.end(Done("stop", rows, 0, 0, image_tokens=laid.image_rows))
        else:
            self._submit(request, laid, stream)
        async with aclosing(self._follow(stream)) as events:
            async for event in events:
                yield event

    def _submit(self, request: Request, laid: Laid, stream: Stream) -> None:
        """Give the language lane its job, and the speech lane the words as they come."""
        answer = Answering(stream, self._scheduler.wake, laid.image_rows)
        if request.speak:
            answer.voice = self._mouth.begin(stream.put, answer.spoken, stream.stopped)
        self._engine.submit(
            Job(
                request.session_id,
                laid.prompt,
                answer.emit,
                answer.written,
                stream.stopped,
                tools=request.tools,
                tool_choice=request.tool_choice,
                parallel_calls=request.parallel_calls,
                limit=request.max_tokens,
                sampling=request.sampling,
                usage=answer.usage,
            )
        )

    async def say(self, text: str) -> AsyncGenerator[ReplyEvent]:
        """Speak a given text."""
        stream = Stream()

        def end(error: BaseException | None) -> None:
            stream.end(error or Done("stop", 0, 0, 0, {"first_audio_s": voice.first_audio_s}))

        voice = self._mouth.begin(stream.put, end, stream.stopped)
        stream.put(Text(text))
        voice.feed(text)
        voice.finish()
        async with aclosing(self._follow(stream)) as events:
            async for event in events:
                yield event

    async def _follow(self, stream: Stream) -> AsyncGenerator[ReplyEvent]:
        """What a stream gives; leaving stops the work for it."""
        self._scheduler.wake()
        try:
            async for event in stream.events():
                yield event
        finally:
            stream.stop()
            self._scheduler.wake()
