"""VITA-1.5's structure behind the voice interface: hears, sees, thinks and speaks in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from itertools import count

import torch

from vita_model import footprint
from vita_model.assembly import VitaModel
from vita_model.checkpoint import CheckpointError
from vita_model.engine.errands import Errands
from vita_model.engine.job import Prompt
from vita_model.engine.licence import UNKNOWN, Licence
from vita_model.engine.replies import WORTH_ROWS, Replies
from vita_model.engine.scheduler import IDLE, Scheduler, spare_cores
from vita_model.engine.thinker import Thinker, torch_thinker
from vita_model.engine.vita_ear import Ear
from vita_model.engine.vita_layout import Block, head, lay_out
from vita_model.engine.vita_mouth import Reader, VitaMouth
from vita_model.engine.voice import (
    EngineStats,
    Heard,
    ModelCard,
    PictureError,
    ReplyEvent,
    Request,
    Samples,
    Seen,
    ToolSpec,
    UserSpeech,
)
from vita_model.media import check_finite
from vita_model.processor import ContextError, VitaProcessor
from vita_model.speech.speak import VoicelessError
from vita_model.transcribe import most_tokens, second_pass_parts
from vita_model.vision import tiling
from vita_model.vision.picture import read_picture

NAME = "VITA-1.5"


class VitaVoice:
    """The large model. Implements `VoiceModel`.

    Args:
        model: On one device, in the type it computes in.
        processor: Of the same checkpoint.
        licence: Of the weights.
        thinker: What runs the language model; None runs its own layers in the torch engine.
        workers: Threads; None takes three beside a GPU, which wait for it, and else at most two.

    Raises:
        CheckpointError: It cannot speak, or its tokenizer lacks the marks of tool calls.
    """

    input_rate = 16_000

    def __init__(
        self,
        model: VitaModel,
        processor: VitaProcessor,
        licence: Licence = UNKNOWN,
        *,
        thinker: Thinker | None = None,
        workers: int | None = None,
    ) -> None:
        self.model, self.processor, self._licence = model, processor, licence
        try:
            reader = Reader(model, processor.tokenizer)
        except VoicelessError as error:
            raise CheckpointError(
                "its weights hold no speech decoder and codec, and callers must hear something;"
                " put vita_tts_ckpt beside them"
            ) from error
        self.output_rate = reader.rate
        thinker = self._thinker = thinker or torch_thinker(model, processor)
        self._engine = thinker.engine
        self._device = model.language.model.embed_tokens.weight.device
        self._ear = Ear(model)
        self.hears_in_chunks = self._ear.in_chunks
        self._numbers = count()
        self._mouth = VitaMouth(reader)
        self._ears, self._desk, self._aside = Errands(), Errands(), Errands(IDLE)
        on_cpu = self._device.type == "cpu"
        workers = workers or (min(2, spare_cores()) if on_cpu else 3)
        if on_cpu:  # workers that each use all cores wait for each other
            torch.set_num_threads(max(1, spare_cores() // workers))
        self._scheduler = Scheduler(
            [self._desk, self._ears, self._engine, self._mouth, self._aside], workers
        )
        self._replies = Replies(self._engine, self._mouth, self._scheduler)
        modules = (model.language, model.speech, model.codec, model.transcript)
        self._parameters = thinker.parameters + footprint.count(modules)
        self._bytes = footprint.memory(modules)

    @property
    def card(self) -> ModelCard:
        """Name, size and licence of the weights."""
        return ModelCard(NAME, *self._licence, self._parameters)

    async def hear(self, samples: Samples) -> Heard:
        """Encode one utterance; beyond a minute only the last part is heard.

        Without a transcript head the language model is asked for the words, which takes as long as
        an answer of the same length.
        """
        check_finite(samples)
        heard = await self._ears.run(self._scheduler, lambda: self._ear.hear(samples))
        if heard.features is None or self._ear.writes:
            return heard
        return replace(heard, transcript=await self._ask_for_words(heard.features))

    async def _ask_for_words(self, block: Block) -> str:
        before, after = second_pass_parts(self.processor)
        names = [*before, *block.names(), *after]
        rows = dict(zip(block.names(), block.rows.unbind(), strict=True))
        limit = most_tokens(len(block.rows))
        session_id = f"words of {block.names()[-1]}"
        try:
            return await self._replies.write(session_id, Prompt(names, rows, ("query",)), limit)
        finally:
            self._engine.close(session_id)

    async def hear_partly(self, request: Request, samples: Samples) -> str:
        """Words of an utterance that goes on, with a transcript head; in chunk mode its rows too.

        Those go into the session's cache, so that the last ones are left at the end.
        """
        check_finite(samples)
        if not (self._ear.writes or self.hears_in_chunks):
            return ""
        session_id = request.session_id
        lane = self._ears if self.hears_in_chunks else self._aside
        heard = await lane.run(self._scheduler, lambda: self._ear.hear_partly(session_id, samples))
        if heard.features is not None:
            asked = replace(request, entries=[*request.entries, UserSpeech(heard)])
            prompt = await self._desk.run(self._scheduler, lambda: self._beginning(asked))
            if prompt is not None:
                await self._replies.compute(session_id, prompt, WORTH_ROWS)
        return heard.transcript

    def _beginning(self, asked: Request) -> Prompt | None:
        """The prompt up to the last row of an utterance that goes on, if there is room for it."""
        try:
            prompt = lay_out(asked, self.processor).prompt
        except ContextError:
            return None
        end = max(place for place, name in enumerate(prompt.names, 1) if name in prompt.heard)
        return Prompt(prompt.names[:end], prompt.heard)

    async def see(self, data: bytes) -> Seen:
        """Look at one picture: one tile, squeezed to a square."""
        return await self._ears.run(self._scheduler, lambda: self._see(data))

    @torch.inference_mode()
    def _see(self, data: bytes) -> Seen:
        vision = self.model.config.vision
        if vision is None:
            raise PictureError("This model has no eye; leave pictures out.")
        size = vision.image_size
        pixels = tiling.batch(tiling.tiles(read_picture(data, size), 1, size), size)
        rows = self.model.language.embed_images(pixels.to(self._device))[0]
        return Seen(Block(("seen", next(self._numbers)), rows), rows.shape[0])

    async def check_tools(self, tools: Sequence[ToolSpec]) -> None:
        """Compile the grammar of a tool list; the answers that follow find it ready."""
        await asyncio.to_thread(self._thinker.grammars.compile, tools)

    async def prepare(self, session_id: str, instructions: str, tools: Sequence[ToolSpec]) -> None:
        """Compute the system prompt of a session."""
        names = await self._desk.run(
            self._scheduler, lambda: head(self.processor, instructions, tools)
        )
        await self._replies.compute(session_id, Prompt(names, {}))

    async def look_ahead(self, request: Request) -> None:
        """Compute the prompt of what has been said so far, the oldest left out if it is long."""
        with suppress(ContextError):  # the next answer meets it again and reports it
            laid = await self._desk.run(self._scheduler, lambda: lay_out(request, self.processor))
            await self._replies.compute_ahead(request.session_id, laid.prompt)

    def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        """Stream one reply.

        Raises:
            ContextError: The last turn alone is too long.
        """
        return self._reply(request)

    async def _reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        laid = await self._desk.run(self._scheduler, lambda: lay_out(request, self.processor))
        async with aclosing(self._replies.answer(request, laid)) as events:
            async for event in events:
                yield event

    def say(self, text: str, voice: str = "default") -> AsyncIterator[ReplyEvent]:
        """Speak a given text."""
        del voice  # the codec's configuration names the one there is
        return self._replies.say(text)

    def stats(self) -> EngineStats:
        """What is held and done at the moment. Sessions on a GPU take nothing of the machine's memory."""
        stats = self._engine.stats()
        return replace(
            stats,
            replies=max(stats.replies, self._mouth.speaking),
            session_bytes=self._thinker.session_bytes,
            weight_bytes=self._bytes,
            step_s=max(stats.step_s, self._scheduler.step_s()),
        )

    async def forget(self, session_id: str) -> None:
        """Drop the session's cache."""
        self._engine.close(session_id)
        self._ear.forget(session_id)

    async def close(self) -> None:
        """Stop the worker threads and the engine."""
        await asyncio.to_thread(self._scheduler.close)
        await asyncio.to_thread(self._engine.stop)
