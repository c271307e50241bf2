"""The torch engine: one cache per session, prompts extended by what is new, cancel at any token."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.answer import AnswerReader
from vita_model.engine.cache import Cache
from vita_model.engine.chat import Chat
from vita_model.engine.constraint import Constraint, ConstraintMaker, next_tokens
from vita_model.engine.language import LanguageModel
from vita_model.engine.voice import Call, EngineStats, Marker, State, Text, ToolSpec

PREFILL_STEP = 160
"""Rows per pass of a long prompt, so that a cancelled one stops soon."""


class Cancelled(Exception):  # noqa: N818 - a signal, not an error
    """The reply is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Rows of a conversation: token ids, or heard rows with an identity.

    Attributes:
        names: Identity of every row; an int is a token id.
        heard: Rows for names that are no token ids.
        expects: Which markers may come first.
    """

    names: list[Hashable]
    heard: dict[Hashable, Tensor]
    expects: tuple[Marker, ...]


@dataclass(slots=True)
class Session:
    """Cache and lock of one conversation."""

    cache: Cache
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Usage:
    """Counts and times (seconds since the start of generation) of one reply."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    prefill_s: float = 0.0
    first_token_s: float = 0.0
    reason: Literal["stop", "length"] = "stop"


class TorchEngine:
    """Answers prompts with a `LanguageModel`; thread-safe, one reply at a time per session."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        constraints: ConstraintMaker,
        sessions: int = 32,
    ) -> None:
        self.model = model
        self._constraints = constraints
        self.tokenizer = tokenizer
        self.chat = Chat(tokenizer)
        self._limit = sessions
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._guard = threading.Lock()
        self._markers: dict[Marker, int] = {
            "query": self.chat.query,
            "typed": self.chat.typed,
            "noise": self.chat.noise,
        }

    def open(self, session_id: str) -> Session:
        """The session's cache, made if needed; the least used one goes when there are too many."""
        with self._guard:
            session = self._sessions.get(session_id)
            if session is None:
                session = self._sessions[session_id] = Session(self.model.cache())
            self._sessions.move_to_end(session_id)
            while len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)
            return session

    def close(self, session_id: str) -> None:
        """Drop a session."""
        with self._guard:
            self._sessions.pop(session_id, None)

    def stats(self) -> EngineStats:
        """What is held at the moment."""
        with self._guard:
            caches = [session.cache for session in self._sessions.values()]
        return EngineStats(
            sessions=len(caches),
            session_limit=self._limit,
            cache_rows=sum(len(cache.rows) for cache in caches),
            cache_bytes=sum(cache.keys.nbytes + cache.values.nbytes for cache in caches),
        )

    def prefill(self, session_id: str, names: list[Hashable]) -> None:
        """Compute the beginning of a conversation ahead of time."""
        session = self.open(session_id)
        with session.lock:
            self._extend(session.cache, Prompt(names, {}, ()), lambda: False)

    def _extend(
        self, cache: Cache, prompt: Prompt, cancelled: Callable[[], bool]
    ) -> tuple[Tensor, int]:
        """Bring the cache to the prompt; returns the last hidden state and rows reused."""
        shared = min(cache.shared(prompt.names), len(prompt.names) - 1)
        cache.cut(shared)
        hidden = torch.zeros(self.model.shape.width)
        for start in range(shared, len(prompt.names), PREFILL_STEP):
            if cancelled():
                raise Cancelled
            names = prompt.names[start : start + PREFILL_STEP]
            ids = [name if isinstance(name, int) else 0 for name in names]
            rows = self.model.rows(ids)
            for index, name in enumerate(names):
                if not isinstance(name, int):
                    rows[index] = prompt.heard[name].to(rows.dtype)
            hidden = self.model.extend(cache, rows, names)
        return hidden, shared

    def generate(
        self,
        session_id: str,
        prompt: Prompt,
        tools: Sequence[ToolSpec],
        *,
        limit: int,
        cancelled: Callable[[], bool],
        usage: Usage,
        tool_choice: str = "auto",
        parallel_calls: bool = True,
    ) -> Iterator[State | Text | Call]:
        """Answer a prompt: the state first, then text or calls. Fills `usage` on the way.

        Raises:
            Cancelled: `cancelled()` became true.
        """
        session = self.open(session_id)
        with session.lock:
            begin = time.perf_counter()
            hidden, reused = self._extend(session.cache, prompt, cancelled)
            usage.input_tokens, usage.cached_tokens = len(prompt.names), reused
            usage.prefill_s = time.perf_counter() - begin
            pen = _Pen(self.model, session.cache, hidden, cancelled, usage)
            yield self._state(pen, prompt.expects)
            usage.first_token_s = time.perf_counter() - begin
            if session.cache.rows[-1] == self.chat.noise:
                return
            constraint = self._constraints(tools, tool_choice, parallel=parallel_calls)
            yield from self._answer(pen, constraint, limit)

    def _state(self, pen: _Pen, expects: tuple[Marker, ...]) -> State:
        ids = [self._markers[marker] for marker in expects]
        shares = torch.softmax(pen.scores()[torch.tensor(ids)], 0).tolist()
        probabilities = dict(zip(expects, shares, strict=True))
        marker = max(expects, key=lambda m: probabilities[m])
        pen.write([self._markers[marker]])
        return State(marker, probabilities)

    def _answer(self, pen: _Pen, constraint: Constraint, limit: int) -> Iterator[Text | Call]:
        """Answer within a grammar, which decides where calls may stand."""
        reader = AnswerReader(self.tokenizer, self.chat.call, self.chat.call_end)
        while pen.usage.output_tokens < limit:
            tokens = next_tokens(constraint, pen.scores, self.chat.end)
            tokens = tokens[: limit - pen.usage.output_tokens]
            pen.write(tokens)
            if tokens[-1] == self.chat.end:
                yield from reader.feed(tokens[:-1])
                return
            yield from reader.feed(tokens)
        pen.usage.reason = "length"
        pen.write([self.chat.end])


class _Pen:
    """Writes tokens into a cache and looks at the scores after the last one."""

    def __init__(
        self,
        model: LanguageModel,
        cache: Cache,
        hidden: Tensor,
        cancelled: Callable[[], bool],
        usage: Usage,
    ) -> None:
        self._model, self._cache, self._hidden = model, cache, hidden
        self._cancelled, self.usage = cancelled, usage

    def scores(self) -> Tensor:
        """Scores of the next token."""
        if self._cancelled():
            raise Cancelled
        return self._model.logits(self._hidden).clone()

    def write(self, ids: Sequence[int]) -> None:
        """Append tokens in one pass."""
        if self._cancelled():
            raise Cancelled
        if ids:
            self._hidden = self._model.extend(self._cache, self._model.rows(ids), list(ids))
            self.usage.output_tokens += len(ids)
