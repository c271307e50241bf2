"""vita-tiny behind the voice interface: hears, thinks and speaks in worker threads."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch

from vita_model.audio.ctc_adapter import Tokens, collapse
from vita_model.audio.units import transcript
from vita_model.engine.chat import Chat
from vita_model.engine.grammar import Grammars
from vita_model.engine.layout import lay_out, system_text
from vita_model.engine.torch_engine import Cancelled, TorchEngine, Usage
from vita_model.engine.voice import (
    Audio,
    Done,
    EngineStats,
    Heard,
    ModelCard,
    ReplyEvent,
    Request,
    Samples,
    Seen,
    State,
    Text,
    ToolSpec,
)
from vita_model.speech.phrases import Phrase, PhraseCutter
from vita_model.tiny import TinyParts, quiet_torch
from vita_model.vision.eye import pixels
from vita_model.vision.picture import read_picture
from vita_model.vision.words import Sight

LONGEST_UTTERANCE_S = 28.0


class _Stream:
    """Hands events from worker threads to one consumer on the loop; says when nobody listens."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[ReplyEvent | BaseException | None] = asyncio.Queue()
        self._stopped = threading.Event()
        self.begin = time.perf_counter()

    def put(self, event: ReplyEvent | BaseException | None) -> None:
        """From any thread."""
        if not self._stopped.is_set():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

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


class TinyVoice:
    """The embedded model. Implements `VoiceModel`."""

    input_rate = 16_000
    output_rate = 24_000

    def __init__(self, parts: TinyParts, *, workers: int = 2) -> None:
        quiet_torch()
        self.parts = parts
        self._chat = Chat(parts.tokenizer)
        self._grammars = Grammars(parts.tokenizer, self._chat.call_marks)
        self._engine = TorchEngine(
            parts.language, parts.tokenizer, constraints=self._grammars.constraint
        )
        self._units = parts.language.table[parts.adapter.unit_ids.long()].float()
        self._sight = Sight(parts.tokenizer, parts.language.table)
        self._numbers = count()
        self._think = ThreadPoolExecutor(workers, "vita-think")
        self._speak = ThreadPoolExecutor(workers, "vita-speak")
        self._look = ThreadPoolExecutor(1, "vita-look")

    @property
    def card(self) -> ModelCard:
        """Name, size and licence of the weights."""
        card = self.parts.card
        return ModelCard(card["name"], card["licence"], card["licence_note"], self.parts.parameters)

    async def hear(self, samples: Samples) -> Heard:
        """Encode one utterance; beyond 28 s only the last part is heard."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._think, self._hear, samples)

    async def hear_partly(self, request: Request, samples: Samples) -> str:
        """Encode the beginning of an utterance."""
        del request
        return (await self.hear(samples)).transcript

    def listen(self, samples: Samples) -> list[int]:
        """Tokens of one utterance, in the calling thread."""
        return self._listen(samples).ids

    def _hear(self, samples: Samples) -> Heard:
        kept = samples[-int(LONGEST_UTTERANCE_S * self.input_rate) :]
        seconds = len(samples) / self.input_rate
        tokens = self._listen(kept)
        rows = [(("heard", next(self._numbers)), row) for row in tokens.rows]
        return Heard(transcript(tokens.ids, self.parts.tokenizer), (tokens.ids, rows), seconds)

    @torch.inference_mode()
    def _listen(self, samples: Samples) -> Tokens:
        rows = self.parts.encoder(torch.from_numpy(samples))
        _, _, logits, _ = self.parts.adapter(rows[None], torch.tensor([len(rows)]))
        return collapse(logits[0], self.parts.adapter.unit_ids, self._units)

    async def see(self, data: bytes) -> Seen:
        """Look at one picture: words for its colour and thing become rows of the prompt."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._look, self._see, data)

    @torch.inference_mode()
    def _see(self, data: bytes) -> Seen:
        eye = self.parts.eye
        size = eye.config.image_size
        tile = pixels([read_picture(data, size)], size)
        words = self._sight.words(eye.rows(tile))[0]
        rows = self._chat.picture([self._sight.ids[word] for word in words])
        return Seen(rows, len(rows))

    async def check_tools(self, tools: Sequence[ToolSpec]) -> None:
        """Compile the grammar of a tool list; the answers that follow find it ready."""
        await asyncio.to_thread(self._grammars.compile, tools)

    async def prepare(self, session_id: str, instructions: str, tools: Sequence[ToolSpec]) -> None:
        """Compute the system prompt of a session."""
        names: list[Hashable] = [*self._chat.system(system_text(instructions, tools))]
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._think, self._engine.prefill, session_id, names)

    def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        """Stream one reply."""
        return self._stream(lambda stream: self._answer(request, stream))

    def say(self, text: str, voice: str = "default") -> AsyncIterator[ReplyEvent]:
        """Speak a given text."""
        del voice  # there is one
        return self._stream(lambda stream: self._recite(text, stream))

    async def _stream(self, work: Callable[[_Stream], None]) -> AsyncIterator[ReplyEvent]:
        stream = _Stream()

        def guarded() -> None:
            try:
                work(stream)
            except Cancelled:
                pass
            except BaseException as error:  # noqa: BLE001 - raised again at the consumer
                stream.put(error)
            stream.put(None)

        self._think.submit(guarded)
        try:
            async for event in stream.events():
                yield event
        finally:
            stream.stop()

    def _recite(self, text: str, stream: _Stream) -> None:
        mouth = _Mouth(self.parts, stream, self._speak)
        stream.put(Text(text))
        mouth.feed(text)
        mouth.finish()
        stream.put(Done("stop", 0, 0, 0, {"first_audio_s": mouth.first_audio_s}))

    def _answer(self, request: Request, stream: _Stream) -> None:
        laid = lay_out(request, self._chat)
        prompt = laid.prompt
        if laid.silent:
            stream.put(State("noise", {"noise": 1.0}))
            stream.put(Done("stop", len(prompt.names), 0, 0, image_tokens=laid.image_rows))
            return
        usage = Usage()
        mouth = _Mouth(self.parts, stream, self._speak) if request.speak else None
        try:
            for event in self._engine.generate(
                request.session_id,
                prompt,
                request.tools,
                limit=request.max_tokens,
                cancelled=stream.stopped,
                usage=usage,
                tool_choice=request.tool_choice,
                parallel_calls=request.parallel_calls,
            ):
                stream.put(event)
                if mouth and isinstance(event, Text):
                    mouth.feed(event.delta)
        finally:
            if mouth:
                mouth.finish()
        timings = {"prefill_s": usage.prefill_s, "first_token_s": usage.first_token_s}
        if mouth:
            timings["first_audio_s"] = mouth.first_audio_s
        stream.put(
            Done(
                usage.reason,
                usage.input_tokens,
                usage.cached_tokens,
                usage.output_tokens,
                timings,
                laid.image_rows,
            )
        )

    def stats(self) -> EngineStats:
        """What is held and done at the moment."""
        return self._engine.stats()

    async def forget(self, session_id: str) -> None:
        """Drop the session's cache."""
        self._engine.close(session_id)

    async def close(self) -> None:
        """Stop the worker threads."""
        for pool in (self._think, self._speak, self._look):
            pool.shutdown(wait=False, cancel_futures=True)


class _Mouth:
    """Speaks a growing text in a second thread, phrase by phrase."""

    def __init__(self, parts: TinyParts, stream: _Stream, pool: ThreadPoolExecutor) -> None:
        self._speaker, self._stream = parts.speaker, stream
        self._cutter = PhraseCutter()
        self._phrases: queue.SimpleQueue[Phrase | None] = queue.SimpleQueue()
        self.first_audio_s = 0.0
        self._job = pool.submit(self._run)

    def feed(self, text: str) -> None:
        """More text of the answer."""
        for phrase in self._cutter.push(text):
            self._phrases.put(phrase)

    def finish(self) -> None:
        """No more text; returns when all of it is spoken or the reply is cancelled."""
        for phrase in self._cutter.finish():
            self._phrases.put(phrase)
        self._phrases.put(None)
        self._job.result()

    def _run(self) -> None:
        while (phrase := self._phrases.get()) is not None:
            for piece in self._speaker.speak(phrase.text):
                if self._stream.stopped():
                    return
                end = phrase.start + round(piece.share * (phrase.end - phrase.start))
                self._stream.put(Audio(piece.samples, end))
                self.first_audio_s = self.first_audio_s or time.perf_counter() - self._stream.begin
