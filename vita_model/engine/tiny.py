"""vita-tiny behind the voice interface: hears, thinks and speaks in worker threads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from vita_model.audio.ctc_adapter import Tokens, read
from vita_model.audio.units import transcript
from vita_model.engine.chat import Chat
from vita_model.engine.errands import Errands
from vita_model.engine.grammar import Grammars
from vita_model.engine.job import Prompt
from vita_model.engine.layout import LONGEST_PROMPT, lay_out, system_text
from vita_model.engine.mouth import Mouth
from vita_model.engine.overheard import Overheard
from vita_model.engine.replies import WORTH_ROWS, Replies
from vita_model.engine.scheduler import IDLE, Scheduler, spare_cores
from vita_model.engine.torch_engine import TorchEngine
from vita_model.engine.voice import (
    EngineStats,
    Heard,
    ModelCard,
    ReplyEvent,
    Request,
    Samples,
    Seen,
    ToolSpec,
    UserSpeech,
)
from vita_model.media import check_finite
from vita_model.tiny import TinyParts, quiet_torch
from vita_model.vision.eye import pixels
from vita_model.vision.picture import read_picture
from vita_model.vision.words import Sight

LONGEST_UTTERANCE_S = 28.0
MOST_WORKERS = 2
"""One thinks while the other speaks; more would wait for the same memory."""


class TinyVoice:
    """The embedded model. Implements `VoiceModel`."""

    input_rate = 16_000
    output_rate = 24_000
    hears_in_chunks = False

    def __init__(self, parts: TinyParts, *, workers: int | None = None) -> None:
        quiet_torch()
        self.parts = parts
        self._chat = Chat(parts.tokenizer)
        self._grammars = Grammars(parts.tokenizer, self._chat.call_marks)
        self._engine = TorchEngine(
            parts.language,
            parts.tokenizer,
            states=self._chat.states,
            marks=self._chat.call_marks,
            constraints=self._grammars.constraint,
        )
        self._units = parts.language.table[parts.adapter.unit_ids.long()].float()
        self._sight = Sight(parts.tokenizer, parts.language.table)
        self._numbers = count()
        self._overheard = Overheard()
        self._answering: Counter[str] = Counter()
        self._mouth = Mouth(parts.speaker)
        self._ears, self._desk, self._aside = Errands(), Errands(), Errands(IDLE)
        self._scheduler = Scheduler(
            [self._desk, self._ears, self._engine, self._mouth, self._aside],
            workers or min(MOST_WORKERS, spare_cores()),
            urgent_alone=True,
        )
        self._replies = Replies(self._engine, self._mouth, self._scheduler)

    @property
    def card(self) -> ModelCard:
        """Name, size and licence of the weights."""
        card = self.parts.card
        return ModelCard(card["name"], card["licence"], card["licence_note"], self.parts.parameters)

    async def hear(self, samples: Samples) -> Heard:
        """Encode one utterance; beyond 28 s only the last part is heard."""
        check_finite(samples)
        return await self._ears.run(self._scheduler, lambda: self._hear(samples))

    async def hear_partly(self, request: Request, samples: Samples) -> str:
        """Encode the beginning of an utterance; what two passes agree on goes into the cache."""
        check_finite(samples)
        heard = await self._aside.run(self._scheduler, lambda: self._hear(samples))
        ids, rows = self._overheard.agreed(request.session_id, heard)
        words = transcript(ids, self.parts.tokenizer)
        certain = words.rpartition(" ")[0]  # the last one may still be cut in the middle
        busy = self._answering[request.session_id] or self._engine.urgency() not in (None, IDLE)
        if busy:
            return certain
        settled = Heard(words, (ids, rows), heard.seconds)
        asked = replace(request, entries=[*request.entries, UserSpeech(settled)])
        laid = await self._desk.run(self._scheduler, lambda: lay_out(asked, self._chat))
        names = laid.prompt.names[: -len(self._chat.user_close())]
        prompt = Prompt(names, laid.prompt.heard)
        await self._replies.compute(request.session_id, prompt, WORTH_ROWS)
        return certain

    def listen(self, samples: Samples) -> list[int]:
        """Tokens of one utterance, in the calling thread."""
        return self._listen(samples)[0].ids

    def _hear(self, samples: Samples) -> Heard:
        kept = samples[-int(LONGEST_UTTERANCE_S * self.input_rate) :]
        seconds = len(samples) / self.input_rate
        tokens, query = self._listen(kept)
        rows = [(("heard", next(self._numbers)), row) for row in tokens.rows]
        words = transcript(tokens.ids, self.parts.tokenizer)
        return Heard(words, (tokens.ids, rows), seconds, query)

    @torch.inference_mode()
    def _listen(self, samples: Samples) -> tuple[Tokens, float | None]:
        rows = self.parts.encoder(torch.from_numpy(samples))
        addressed = self.parts.addressed
        query = None if addressed is None else addressed.query(rows, self.parts.encoder.tail_rows)
        return self._read(rows), query

    def _read(self, rows: Tensor) -> Tokens:
        if self.parts.reader is not None:
            ids = self.parts.reader.tokens(self.parts.reader.read(rows))
            return Tokens(ids, self.parts.language.table[ids].float())
        _, _, logits, _ = self.parts.adapter(rows[None], torch.tensor([len(rows)]))
        return read(logits[0], self.parts.adapter.unit_ids, self._units, self.parts.words)

    async def see(self, data: bytes) -> Seen:
        """Look at one picture: words for its colour and thing become rows of the prompt."""
        return await self._ears.run(self._scheduler, lambda: self._see(data))

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
        await self._replies.compute(session_id, Prompt(names, {}))

    async def look_ahead(self, request: Request) -> None:
        """Compute the prompt of what has been said so far, the oldest left out if it is long."""
        laid = await self._desk.run(self._scheduler, lambda: lay_out(request, self._chat))
        await self._replies.compute_ahead(request.session_id, laid.prompt)

    def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        """Stream one reply."""
        return self._reply(request)

    async def _reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        self._settle(request)
        self._answering[request.session_id] += 1
        try:
            laid = await self._desk.run(self._scheduler, lambda: lay_out(request, self._chat))
            async with aclosing(self._replies.answer(request, laid)) as events:
                async for event in events:
                    yield event
        finally:
            self._answering[request.session_id] -= 1
            if not self._answering[request.session_id]:
                del self._answering[request.session_id]

    def _settle(self, request: Request) -> None:
        """Use rows that are in the cache already where the last utterance has the same."""
        last = request.entries[-1] if request.entries else None
        if isinstance(last, UserSpeech):
            self._overheard.settle(request.session_id, last.heard)

    def say(self, text: str, voice: str = "default") -> AsyncIterator[ReplyEvent]:
        """Speak a given text."""
        del voice  # there is one
        return self._replies.say(text)

    def stats(self) -> EngineStats:
        """What is held and done at the moment."""
        stats = self._engine.stats()
        return replace(
            stats,
            replies=max(stats.replies, self._mouth.speaking),
            session_bytes=LONGEST_PROMPT * 2 * self.parts.language.row_bytes,
            step_s=self._scheduler.step_s(),
        )

    async def forget(self, session_id: str) -> None:
        """Drop the session's cache."""
        self._engine.close(session_id)
        self._overheard.forget(session_id)

    async def close(self) -> None:
        """Stop the worker threads and the engine."""
        await asyncio.to_thread(self._scheduler.close)
        await asyncio.to_thread(self._engine.stop)
