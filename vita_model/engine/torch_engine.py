"""The torch engine: continuous batching of answers over the caches of their sessions."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.cache import Cache
from vita_model.engine.constraint import ConstraintMaker
from vita_model.engine.engine import RowsError, checked_rows
from vita_model.engine.grammar import CallMarks
from vita_model.engine.guesses import Guesses
from vita_model.engine.job import Cancelled, Job
from vita_model.engine.language import FEW_ROWS, LanguageModel, Segment
from vita_model.engine.scheduler import IDLE, NORMAL
from vita_model.engine.voice import EngineStats, Marker
from vita_model.engine.writer import Pen, Writer

ALONE_ROWS = 160
"""Rows of prompts computed in a step while nobody writes."""
BESIDE_ROWS = 48
"""Rows of prompts computed in a step beside answers being written: they wait that long."""
AHEAD_ROWS = 32
"""Rows of prompts computed ahead in a step: whoever comes meanwhile waits that long."""
MOST_WRITING = 32
"""Answers that write in one step; more take turns."""


class TorchEngine:
    """Implements `Engine`: a lane of jobs.

    A step writes one token for every answer under way, and more where a guess was right, all in one
    pass. Then it takes a bounded number of prompt rows, in turns from the jobs that still read theirs.
    Prompts that are computed ahead come when there are no others.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        states: Mapping[Marker, int],
        marks: CallMarks,
        sessions: int = 32,
        constraints: ConstraintMaker,
    ) -> None:
        self.model = model
        self._writer = Writer(tokenizer, states, marks, constraints)
        self._states = dict(states)
        self._limit = sessions
        self._sessions: OrderedDict[str, Cache] = OrderedDict()
        self._guard = threading.Lock()
        self._inbox: deque[Job] = deque()
        self._waiting: list[Job] = []
        self._running: list[Job] = []

    def submit(self, job: Job) -> None:
        """Take a job. From any thread; wake the scheduler afterwards."""
        self._inbox.append(job)

    def close(self, session_id: str) -> None:
        """Drop a session's cache. A job that uses it ends undisturbed."""
        with self._guard:
            self._sessions.pop(session_id, None)

    def stats(self) -> EngineStats:
        """What is held and done at the moment."""
        with self._guard:
            caches = list(self._sessions.values())
        return EngineStats(
            sessions=len(caches),
            session_limit=self._limit,
            replies=sum(not job.ahead for job in list(self._running)),
            waiting=len(self._waiting) + len(self._inbox),
            cache_rows=sum(len(cache.rows) for cache in caches),
            cache_bytes=sum(cache.nbytes for cache in caches),
            weight_bytes=self.model.weight_bytes,
        )

    def urgency(self) -> int | None:
        """As `Lane`."""
        jobs = (*self._inbox, *self._waiting, *self._running)
        if not jobs:
            return None
        return IDLE if all(job.ahead for job in jobs) else NORMAL

    @torch.inference_mode()
    def step(self) -> None:
        """As `Lane`."""
        while self._inbox:
            self._take(self._inbox.popleft())
        self._drop_cancelled()
        self._start_waiting()
        writing = [job for job in self._running if len(job.pending) == 1 and job.writing]
        self._advance(writing[:MOST_WRITING], len(writing))
        reading = [job for job in self._running if len(job.pending) > 1 or not job.writing]
        asked = [job for job in reading if not job.ahead]
        if asked:
            self._read_prompts(asked, BESIDE_ROWS if writing else ALONE_ROWS)
        elif not writing:
            self._read_prompts(reading, AHEAD_ROWS)

    def stop(self) -> None:
        """As `Engine`."""
        with self._guard:
            self._sessions.clear()

    def fail(self, error: BaseException) -> None:
        """As `Lane`."""
        while self._inbox:
            self._waiting.append(self._inbox.popleft())
        failed, self._waiting, self._running = [*self._running, *self._waiting], [], []
        for job in failed:
            job.end(error)

    def _take(self, job: Job) -> None:
        """A further job; what is computed ahead for its session gives way to it."""
        for jobs in (self._running, self._waiting):
            for other in list(jobs):
                if other.ahead and other.session_id == job.session_id:
                    jobs.remove(other)
                    other.end(Cancelled())
        self._waiting.append(job)

    def _drop_cancelled(self) -> None:
        for jobs in (self._running, self._waiting):
            for job in [job for job in jobs if job.cancelled()]:
                jobs.remove(job)
                job.end(Cancelled())

    def _start_waiting(self) -> None:
        busy = {job.session_id for job in self._running}
        for job in list(self._waiting):
            if job.session_id in busy:
                continue
            self._waiting.remove(job)
            try:
                begun = self._start(job, busy | {job.session_id})
            except RowsError as error:
                job.end(error)
                continue
            if begun:
                busy.add(job.session_id)
                self._running.append(job)
            else:
                job.end(None)

    def _start(self, job: Job, busy: set[str]) -> bool:
        """Open the cache and cut it to what is shared; False if there is too little to compute."""
        job.cache = cache = self._open(job.session_id, busy)
        names = job.prompt.names
        shared = cache.shared(names)
        if not job.prompt.expects and names and len(names) - shared < job.least:
            return False
        shared = min(shared, max(len(names) - 1, 0))
        checked_rows(job.prompt, names[shared:], *self.model.table.shape)
        cache.cut(shared)
        job.pending = names[shared:]
        job.usage.input_tokens, job.usage.cached_tokens = len(names), shared
        return True

    def _open(self, session_id: str, busy: set[str]) -> Cache:
        """The session's cache; the least used idle one goes when there are too many."""
        with self._guard:
            cache = self._sessions.setdefault(session_id, self.model.cache())
            self._sessions.move_to_end(session_id)
            idle = [key for key in self._sessions if key not in busy]
            for key in idle[: max(0, len(self._sessions) - self._limit)]:
                del self._sessions[key]
            return cache

    def _advance(self, jobs: Sequence[Job], writing: int) -> None:
        """One token for every job, in one pass."""
        if not jobs:
            return
        if len(jobs) < writing:  # the others come first in the next step
            self._running = [job for job in self._running if job not in jobs] + list(jobs)
        size = FEW_ROWS if len(jobs) <= 2 * FEW_ROWS else len(jobs)
        for at in range(0, len(jobs), size):
            self._pass([(job, 1) for job in jobs[at : at + size]])

    def _read_prompts(self, reading: Sequence[Job], budget: int) -> None:
        taken: list[tuple[Job, int]] = []
        for job in reading:
            count = min(len(job.pending), budget)
            budget -= count
            taken.append((job, count))
            if budget <= 0:
                break
        if not taken:
            return
        last = taken[-1][0]
        if len(reading) > 1 and len(last.pending) > taken[-1][1]:  # a long prompt takes turns
            self._running.remove(last)
            self._running.append(last)
        self._pass(taken)

    def _pass(self, parts: Sequence[tuple[Job, int]]) -> None:
        """Append the next rows of some jobs; those that have no more may write."""
        room = max(0, FEW_ROWS - sum(count for _, count in parts)) // len(parts)
        guesses = [self._guess(job, count, room) for job, count in parts]
        segments = [
            self._segment(job, count, guess)
            for (job, count), guess in zip(parts, guesses, strict=True)
        ]
        hidden = self.model.step(segments).split([segment.wanted for segment in segments])
        asking: list[tuple[Job, Tensor, list[int]]] = []
        for (job, count), states, guess in zip(parts, hidden, guesses, strict=True):
            job.pending = job.pending[count:]
            if job.pending:
                continue
            if job.prompt.expects:
                asking.append((job, states, guess))
            else:
                self._finish(job, None)
        if asking:
            scores = self.model.logits(torch.cat([states for _, states, _ in asking]))
            shown = scores.split([len(states) for _, states, _ in asking])
            for (job, _, guess), rows in zip(asking, shown, strict=True):
                self._continue(job, rows, guess)

    def _guess(self, job: Job, count: int, room: int) -> list[int]:
        """What may follow the next rows: after a prompt its likely state, then what stood there before."""
        if count < len(job.pending) or not job.prompt.expects:
            return []
        if job.guesses is None:
            return [self._states[job.prompt.expects[0]]]
        return job.guesses.next(room)

    def _segment(self, job: Job, count: int, guess: Sequence[int]) -> Segment:
        names = [*job.pending[:count], *guess]
        rows = self.model.rows([name if isinstance(name, int) else 0 for name in names])
        for index, name in enumerate(names):
            if not isinstance(name, int):
                rows[index] = job.prompt.heard[name].to(rows.dtype)
        if job.cache is None:
            raise RuntimeError("a job runs without a cache")
        return Segment(job.cache, rows, names, 1 + len(guess))

    def _continue(self, job: Job, scores: Tensor, guess: Sequence[int]) -> None:
        """Let a job choose what it writes next; as long as it was guessed, also what follows.

        Args:
            job: Of the answer.
            scores: After what was written last and after every token of the guess.
            guess: Rows of it are in the cache.
        """
        if job.cache is None:
            raise RuntimeError("a job runs without a cache")
        begin, right = len(job.cache.rows) - len(guess), 0
        tokens = self._next(job, scores[0])
        while tokens and list(tokens) == list(guess[right : right + len(tokens)]):
            right += len(tokens)
            tokens = self._next(job, scores[right])
        job.cache.cut(begin + right)
        if tokens:
            job.pending = tokens
            if job.guesses is not None:
                job.guesses.judged(len(guess), right)

    def _next(self, job: Job, scores: Tensor) -> Sequence[int]:
        """What a job writes next; nothing when it has ended."""
        usage = job.usage
        if job.pen is None or job.writing is None or job.guesses is None:
            usage.prefill_s = time.perf_counter() - job.begin
            job.pen, job.guesses = Pen(), Guesses(job.prompt.names)
            job.writing = self._writer.write(job, job.pen)
        job.pen.show(scores)
        try:
            tokens = next(job.writing)
        except StopIteration:
            self._finish(job, None)
        except Exception as error:  # noqa: BLE001 - raised again at the job's consumer
            self._finish(job, error)
        else:
            usage.output_tokens += len(tokens)
            job.guesses.wrote(tokens)
            return tokens
        return ()

    def _finish(self, job: Job, error: BaseException | None) -> None:
        self._running.remove(job)
        job.end(error)
