"""The language engine on transformers' Qwen2: one cache per conversation, in a thread of its own.

Rows are computed as they are appended, so an answer begins with its first token. Answers take
turns step by step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import torch
from torch import Tensor
from transformers import DynamicCache, Qwen2ForCausalLM

from vita_model.engine.constraint import Constraint, next_tokens
from vita_model.engine.engine import Plan, RowBuffer, Rows, Step, check_room
from vita_model.engine.grammar import CallMarks, Grammars
from vita_model.engine.voice import EngineStats

PREFILL_STEP = 256
"""Rows computed in one go; other conversations come to their turn in between."""


class _Conversation:
    """Rows, how many of them are in the cache, and the scores after the last."""

    def __init__(self, model: Qwen2ForCausalLM, limit: int) -> None:
        self._model = model
        self.buffer = RowBuffer(_table(model), limit)
        self._cache = DynamicCache(config=model.config)
        self._computed = 0
        self._scores: Tensor | None = None
        self.answering = False
        self.aborted = False

    @property
    def behind(self) -> bool:
        """Some rows are not computed yet, or the scores are gone."""
        return self._computed < self.buffer.length or self._scores is None

    @torch.inference_mode()
    def compute(self) -> None:
        """Compute some of what is missing."""
        if self._computed == self.buffer.length:  # the last row again, for its scores
            self._cut(self._computed - 1)
        rows = self.buffer.rows[self._computed : self._computed + PREFILL_STEP]
        found = self._model(
            inputs_embeds=rows[None], past_key_values=self._cache, use_cache=True, logits_to_keep=1
        )
        self._computed += len(rows)
        self._scores = found.logits[0, -1].float()

    def scores(self) -> Tensor:
        """Scores of the next token, `[vocabulary]` in float32."""
        if self._scores is None:
            raise RuntimeError("the last row is not computed")
        return self._scores.clone()

    def truncate(self, length: int) -> None:
        """Forget all rows from `length` on."""
        self.buffer.truncate(length)
        if self.buffer.length < self._computed:
            self._cut(self.buffer.length)

    def _cut(self, length: int) -> None:
        if length < self._computed:
            self._cache.crop(length - self._computed)
        self._computed = length
        self._scores = None

    def cache_bytes(self) -> int:
        """Memory of the cache."""
        config = self._model.config
        heads = (config.num_key_value_heads or 1) * config.hidden_size // config.num_attention_heads
        return 2 * self._computed * config.num_hidden_layers * heads * self._model.dtype.itemsize


class Qwen2Engine:
    """Implements `LanguageEngine`.

    Args:
        model: On its device, in its type.
        grammars: Those of its tokenizer.
        marks: How its tokenizer marks calls and ends.
        limit: Most rows of a conversation.
    """

    def __init__(
        self, model: Qwen2ForCausalLM, grammars: Grammars, marks: CallMarks, *, limit: int = 6_200
    ) -> None:
        self._model = model.eval()
        self._grammars, self._marks, self._limit = grammars, marks, limit
        self._table = _table(model)
        self._open: dict[str, _Conversation] = {}
        self._thread = ThreadPoolExecutor(1, "vita-qwen2")

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return int(self._table.shape[1])

    def embed(self, tokens: Sequence[int]) -> Tensor:
        """The table's rows of tokens, `[n, width]`."""
        ids = torch.tensor(list(tokens), dtype=torch.long, device=self._table.device)
        return self._table[ids]

    async def open(self, conversation: str) -> None:
        """Begin an empty conversation."""
        self._open[conversation] = _Conversation(self._model, self._limit)

    async def append(self, conversation: str, rows: Rows) -> None:
        """Add rows and compute them."""
        held = self._open[conversation]
        held.buffer.append(rows)
        await self._catch_up(held)

    async def _catch_up(self, held: _Conversation) -> None:
        loop = asyncio.get_running_loop()
        while held.behind and held.buffer.length and not held.aborted:
            await loop.run_in_executor(self._thread, held.compute)

    async def generate(self, conversation: str, plan: Plan) -> AsyncIterator[Step]:
        """Answer the conversation."""
        held = self._open[conversation]
        check_room(held.buffer, plan)
        constraint = self._grammars.constraint(
            plan.tools, plan.tool_choice, parallel=plan.parallel_calls
        )
        held.answering, held.aborted = True, False
        try:
            async for step in self._steps(held, plan, constraint):
                yield step
        finally:
            held.answering = held.aborted = False

    async def _steps(
        self, held: _Conversation, plan: Plan, constraint: Constraint
    ) -> AsyncIterator[Step]:
        left = plan.limit
        await self._catch_up(held)
        if plan.first and not held.aborted:
            step = _state(held.scores(), plan.first)
            held.buffer.append(step.tokens)
            yield step
            left -= 1
            if step.tokens[0] in plan.mute:
                return
            await self._catch_up(held)
        while left > 0 and not held.aborted:
            tokens = next_tokens(constraint, held.scores, self._marks.end)[:left]
            left -= len(tokens)
            held.buffer.append(tokens)
            yield Step(tuple(tokens))
            if tokens[-1] == self._marks.end:
                return
            await self._catch_up(held)

    async def truncate(self, conversation: str, length: int) -> None:
        """Forget all rows from `length` on."""
        held = self._open[conversation]
        await asyncio.get_running_loop().run_in_executor(self._thread, held.truncate, length)

    async def abort(self, conversation: str) -> None:
        """End its answer, if one is being written."""
        held = self._open.get(conversation)
        if held is not None:
            held.aborted = held.answering

    async def close(self, conversation: str) -> None:
        """Forget a conversation."""
        await self.abort(conversation)
        self._open.pop(conversation, None)

    def length(self, conversation: str) -> int:
        """Rows of a conversation."""
        return self._open[conversation].buffer.length

    def stats(self) -> EngineStats:
        """What is held and done at the moment."""
        held = list(self._open.values())
        return EngineStats(
            sessions=len(held),
            replies=sum(one.answering for one in held),
            cache_rows=sum(one.buffer.length for one in held),
            cache_bytes=sum(one.cache_bytes() for one in held),
            weight_bytes=sum(weight.nbytes for weight in self._model.parameters()),
        )

    async def stop(self) -> None:
        """End all answers and the thread."""
        for conversation in list(self._open):
            await self.close(conversation)
        self._thread.shutdown(wait=False, cancel_futures=True)


def _state(scores: Tensor, first: Sequence[int]) -> Step:
    shares = torch.softmax(scores[list(first)], 0).tolist()
    by_token = dict(zip(first, shares, strict=True))
    return Step((max(first, key=lambda token: by_token[token]),), by_token)


def _table(model: Qwen2ForCausalLM) -> Tensor:
    return cast(Tensor, model.model.embed_tokens.weight).detach()
