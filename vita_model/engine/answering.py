"""One reply on its way from the worker threads to whoever reads it on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from vita_model.engine.job import Cancelled, Usage
from vita_model.engine.voice import Call, Done, ReplyEvent, State, Text


class Stream:
    """Hands events from worker threads to one consumer on the loop; says when nobody listens."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[ReplyEvent | BaseException | None] = asyncio.Queue()
        self._stopped = threading.Event()

    def put(self, event: ReplyEvent | BaseException | None) -> None:
        """From any thread."""
        if not self._stopped.is_set():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def end(self, last: ReplyEvent | BaseException) -> None:
        """From any thread: this is the last."""
        self.put(last)
        self.put(None)

    def stop(self) -> None:
        """Nobody listens any more."""
        self._stopped.set()

    def stopped(self) -> bool:
        """True once the reply is no longer wanted."""
        return self._stopped.is_set()

    async def events(self) -> AsyncIterator[ReplyEvent]:
        """Everything put, until None; an exception is raised here."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event


class Speech(Protocol):
    """One answer being spoken. Text may come from any thread."""

    first_audio_s: float
    """When its first sound came, seconds since it began; 0 before."""

    def feed(self, text: str) -> None:
        """More text of the answer."""
        ...

    def finish(self) -> None:
        """No more text comes."""
        ...


class Answering:
    """Joins what is written and what is spoken of one answer into one stream."""

    def __init__(self, stream: Stream, wake: Callable[[], None], image_rows: int) -> None:
        self.voice: Speech | None = None
        self.usage = Usage()
        self._stream, self._wake, self._image_rows = stream, wake, image_rows

    def emit(self, event: State | Text | Call) -> None:
        """Something has been written."""
        self._stream.put(event)
        if self.voice is not None and isinstance(event, Text):
            self.voice.feed(event.delta)
            self._wake()

    def written(self, error: BaseException | None) -> None:
        """All has been written, or it went wrong."""
        if isinstance(error, Cancelled):
            self._stream.stop()
        elif error is not None:
            self._stream.end(error)
        elif self.voice is None:
            self.spoken(None)
        if self.voice is not None:
            self.voice.finish()
            self._wake()

    def spoken(self, error: BaseException | None) -> None:
        """All has been spoken, or it went wrong: the caller must not be left with text alone."""
        if error is not None:
            self._stream.end(error)
            return
        usage = self.usage
        timings = {"prefill_s": usage.prefill_s, "first_token_s": usage.first_token_s}
        if self.voice is not None:
            timings["first_audio_s"] = self.voice.first_audio_s
        counts = usage.input_tokens, usage.cached_tokens, usage.output_tokens
        self._stream.end(Done(usage.reason, *counts, timings, self._image_rows))
