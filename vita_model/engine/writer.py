"""What an answer consists of: the state token, then text and tool calls, chosen from scores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.answer import AnswerReader
from vita_model.engine.chat import Chat
from vita_model.engine.constraint import ConstraintMaker, next_tokens
from vita_model.engine.job import Job
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
    """Writes answers. What it yields is written next; it goes on when the scores after that are shown."""

    def __init__(self, tokenizer: Tokenizer, chat: Chat, constraints: ConstraintMaker) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self._constraints = constraints
        self._markers: dict[Marker, int] = {
            "query": chat.query,
            "typed": chat.typed,
            "noise": chat.noise,
        }

    def write(self, job: Job, pen: Pen) -> Iterator[Sequence[int]]:
        """One answer: the state first; nothing follows noise."""
        state = self._state(pen, job.prompt.expects)
        job.emit(state)
        job.usage.first_token_s = time.perf_counter() - job.begin
        if state.marker == "noise":
            return
        yield [self._markers[state.marker]]
        constraint = self._constraints(job.tools, job.tool_choice, parallel=job.parallel_calls)
        reader = AnswerReader(self._tokenizer, self._chat.call, self._chat.call_end)
        while job.usage.output_tokens < job.limit:
            tokens = next_tokens(constraint, pen.scores, self._chat.end)
            tokens = tokens[: job.limit - job.usage.output_tokens]
            ends = tokens[-1] == self._chat.end
            for event in reader.feed(tokens[:-1] if ends else tokens):
                job.emit(event)
            if ends:
                return
            yield tokens
        job.usage.reason = "length"

    def _state(self, pen: Pen, expects: Sequence[Marker]) -> State:
        ids = [self._markers[marker] for marker in expects]
        shares = torch.softmax(pen.scores()[torch.tensor(ids)], 0).tolist()
        probabilities = dict(zip(expects, shares, strict=True))
        return State(max(expects, key=lambda m: probabilities[m]), probabilities)
