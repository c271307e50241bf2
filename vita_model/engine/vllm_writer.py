"""What an answer consists of, as requests to vLLM: the state, what is said, each call, a mark after it.

vLLM holds a whole request to one rule. So an answer is cut where the rule changes; what was
computed for the request before is found again by its rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.answer import AnswerReader
from vita_model.engine.engine import EngineStoppedError
from vita_model.engine.grammar import GrammarError, Grammars, ToolConstraint
from vita_model.engine.job import Job
from vita_model.engine.vllm_llm import Llm
from vita_model.engine.voice import Marker, State

NEVER = -100.0
"""Added to the scores of tokens that must not come: the most vLLM takes."""


class VllmWriter:
    """Writes answers.

    Args:
        llm: Computes.
        table: Embedding rows, `[vocabulary, width]`.
        tokenizer: Of the model.
        states: Token of every state.
        grammars: Of the tools' calls, with their marks.
    """

    def __init__(
        self,
        llm: Llm,
        table: Tensor,
        tokenizer: Tokenizer,
        states: Mapping[Marker, int],
        grammars: Grammars,
    ) -> None:
        self._llm, self._table, self._tokenizer = llm, table, tokenizer
        self._states, self._marks = states, grammars.marks
        self._grammars = grammars

    async def compute(self, rows: Tensor) -> None:
        """Have vLLM keep what it computes for rows."""
        async with aclosing(self._llm.request(rows, max_tokens=1)) as outputs:
            async for _ in outputs:
                pass

    async def write(self, job: Job, rows: Tensor) -> None:
        """One answer after the rows of its prompt: the state first; nothing follows noise."""
        usage = job.usage
        state = await self._state(job, rows)
        job.emit(state)
        usage.first_token_s = time.perf_counter() - job.begin
        if state.marker == "noise":
            return
        rows = self._grown(rows, [self._states[state.marker]])
        usage.output_tokens += 1
        constraint = self._grammars.constraint(
            job.tools, job.tool_choice, parallel=job.parallel_calls
        )
        reader = AnswerReader(self._tokenizer, self._marks.call, self._marks.call_end)
        while usage.output_tokens < job.limit:
            written: list[int] = []
            async with aclosing(self._piece(job, rows, constraint)) as tokens:
                async for token in tokens:
                    if token == self._marks.end:
                        return
                    usage.output_tokens += 1
                    written.append(token)
                    for event in reader.feed([token]):
                        job.emit(event)
            if not written:
                raise GrammarError("vLLM and the grammar disagree about the end of a call.")
            rows = self._grown(rows, written)
        usage.reason = "length"

    def _grown(self, rows: Tensor, tokens: Sequence[int]) -> Tensor:
        return torch.cat([rows, self._table[torch.tensor(tokens, dtype=torch.long)]])

    async def _state(self, job: Job, rows: Tensor) -> State:
        ids = [*self._states.values()]
        scores: Mapping[int, float] = {}
        options: dict[str, Any] = {"max_tokens": 1, "logprobs": len(ids), "logprob_token_ids": ids}
        allowed = [self._states[marker] for marker in job.prompt.expects]
        async with aclosing(self._llm.request(rows, allowed_token_ids=allowed, **options)) as found:
            async for output in found:
                scores = output.scores
                job.usage.cached_tokens = output.cached
        if not scores:
            raise EngineStoppedError("vLLM gave no state; restart the model server.")
        job.usage.prefill_s = time.perf_counter() - job.begin
        highest = max(scores[token] for token in ids)
        weights = {mark: math.exp(scores[token] - highest) for mark, token in self._states.items()}
        total = sum(weights.values())
        shares = {marker: weight / total for marker, weight in weights.items()}
        return State(max(job.prompt.expects, key=lambda marker: shares[marker]), shares)

    async def _piece(
        self, job: Job, rows: Tensor, constraint: ToolConstraint
    ) -> AsyncGenerator[int, None]:
        """What is fixed, or what one request gives; accepted already."""
        marks = self._marks
        calling = constraint.calling
        fixed = [marks.call_end] if constraint.complete else [] if calling else constraint.forced()
        for token in fixed:
            if token != marks.end:
                constraint.accept(token)
            yield token
        if fixed:
            return
        options = {
            "max_tokens": job.limit - job.usage.output_tokens,
            "sampling": job.sampling,
            **self._options(job, constraint),
        }
        async with aclosing(self._llm.request(rows, **options)) as outputs:
            async for output in outputs:
                for token in output.tokens:
                    if token == marks.end and calling:
                        return
                    if token != marks.end:
                        constraint.accept(token)
                    yield token
                    if constraint.complete or token in {marks.end, marks.call}:
                        return

    def _options(self, job: Job, constraint: ToolConstraint) -> dict[str, Any]:
        """What may come next, in vLLM's words."""
        marks = self._marks
        if constraint.calls and not constraint.calling:
            return {"max_tokens": 1, "allowed_token_ids": [marks.call, marks.end]}
        never = dict.fromkeys([*marks.reserved, marks.call_end], NEVER)
        options: dict[str, Any] = {"stop_token_ids": [marks.end, marks.call], "logit_bias": never}
        if constraint.calling:
            options["grammar"] = self._grammars.text(job.tools, job.tool_choice)
        if constraint.calling or not constraint.may_call:
            never[marks.call] = NEVER
        return options
