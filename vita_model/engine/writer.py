"""What an answer consists of: the state token, then text and tool calls, chosen from scores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.answer import AnswerReader
from vita_model.engine.constraint import ConstraintMaker, next_tokens
from vita_model.engine.grammar import CallMarks
from vita_model.engine.job import Job
from vita_model.engine.sampling import Sampler
from vita_model.engine.voice import Marker, State


class Pen:
    """Holds the scores of the token that comes next."""

    def __init__(self) -> None:
        self._scores: Tensor | None = None

    def show(self, scores: Tensor) -> None:
        """Scores after what was written last, `[vocabulary]` in float32."""
        self._scores = scores

    def scores(self) -> Tensor:
        """The scores now; may be changed in place."""
        if self._scores is None:
            raise RuntimeError("a token is chosen before its scores are known")
        return self._scores


class Writer:
    """Writes answers. What it yields is written next; it goes on when the scores after that are shown.

    Args:
        tokenizer: Of the model.
        states: Token of every state.
        marks: Tokens around calls and at the end.
        constraints: What keeps an answer in order.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        states: Mapping[Marker, int],
        marks: CallMarks,
        constraints: ConstraintMaker,
    ) -> None:
        self._tokenizer = tokenizer
        self._states = states
        self._marks = marks
        self._constraints = constraints

    def write(self, job: Job, pen: Pen) -> Iterator[Sequence[int]]:
        """One answer: the state first; nothing follows noise."""
        state = self._state(pen, job.prompt.expects)
        job.emit(state)
        job.usage.first_token_s = time.perf_counter() - job.begin
        if state.marker == "noise":
            return
        yield [self._states[state.marker]]
        constraint = self._constraints(job.tools, job.tool_choice, parallel=job.parallel_calls)
        reader = AnswerReader(self._tokenizer, self._marks.call, self._marks.call_end)
        choose = Sampler(job.sampling)
        while job.usage.output_tokens < job.limit:
            tokens = next_tokens(constraint, pen.scores, self._marks.end, choose)
            tokens = tokens[: job.limit - job.usage.output_tokens]
            ends = tokens[-1] == self._marks.end
            for event in reader.feed(tokens[:-1] if ends else tokens):
                job.emit(event)
            if ends:
                return
            yield tokens
        job.usage.reason = "length"

    def _state(self, pen: Pen, expects: Sequence[Marker]) -> State:
        ids = torch.tensor([*self._states.values()])
        shares = torch.softmax(pen.scores()[ids], 0).tolist()
        probabilities = dict(zip(self._states, shares, strict=True))
        return State(max(expects, key=lambda m: probabilities[m]), probabilities)
