"""The engine on vLLM, for many conversations on large or several accelerators; implements `Engine`.

vLLM has a loop of its own in a thread of its own, and processes of its own behind that. It takes
whole prompts and finds again, by blocks of rows, what it has computed; so nothing is kept here but
what was sent ahead. Prompts that grow while a caller speaks are sent a full block at a time: every
request ships and hashes all its rows.

Needs the extra `vllm`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.engine import EngineStoppedError, RowsError, checked_rows
from vita_model.engine.grammar import Grammars
from vita_model.engine.job import Cancelled, Job, Prompt
from vita_model.engine.scheduler import URGENT
from vita_model.engine.vllm_llm import Llm
from vita_model.engine.vllm_settings import VllmSettings
from vita_model.engine.vllm_weights import read_table
from vita_model.engine.vllm_writer import VllmWriter
from vita_model.engine.voice import EngineStats, Marker

STOP_S = 20.0
"""vLLM's processes may take so long to end."""


@dataclass(slots=True)
class _Session:
    """What vLLM was sent for a conversation. Its jobs take turns."""

    sent: list[Hashable] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class _Work:
    """A job under way; `why` is what it is to end with when its task is cancelled."""

    job: Job
    task: asyncio.Task[None] | None = None
    begun: bool = False
    why: BaseException | None = None


class VllmEngine:
    """Starting takes minutes; the constructor returns when answers can be given.

    Args:
        settings: The weights and the machines.
        tokenizer: Of the model.
        states: Token of every state.
        grammars: Of the tools' calls, with their marks.
        sessions: Conversations remembered; the one unused longest is dropped first.

    Raises:
        EngineStoppedError: vLLM did not start.
        CheckpointError: The folder holds no plain weights.
    """

    def __init__(
        self,
        settings: VllmSettings,
        tokenizer: Tokenizer,
        *,
        states: Mapping[Marker, int],
        grammars: Grammars,
        sessions: int = 1024,
    ) -> None:
        self._settings, self._limit = settings, sessions
        self._table = read_table(settings.folder).to(getattr(torch, settings.dtype))
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._works: dict[_Work, None] = {}
        self._begun = time.monotonic()
        self._ended = False
        self._inbox: asyncio.Queue[_Work | None] = asyncio.Queue()
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready, tokenizer, states, grammars)),
            name="vita-vllm",
            daemon=True,
        )
        self._thread.start()
        try:
            self._loop = ready.result(settings.start_s)
        except TimeoutError:
            message = f"vLLM did not start within {settings.start_s:.0f} s; its log says why."
            raise EngineStoppedError(message) from None

    async def _run(
        self,
        ready: Future[asyncio.AbstractEventLoop],
        tokenizer: Tokenizer,
        states: Mapping[Marker, int],
        grammars: Grammars,
    ) -> None:
        """The thread's whole life."""
        llm: Llm | None = None
        try:
            llm = self._llm = Llm(self._settings)
            self._writer = VllmWriter(llm, self._table, tokenizer, states, grammars)
            await self._warm(states)
            ready.set_result(asyncio.get_running_loop())
            async with asyncio.TaskGroup() as group:
                while (work := await self._inbox.get()) is not None:
                    work.task = group.create_task(self._do(work))
        except Exception as error:
            if ready.done():
                raise
            stopped = EngineStoppedError(f"vLLM did not start: {error}")
            stopped.__cause__ = error
            ready.set_exception(stopped)
        finally:
            self._ended = True
            if llm is not None:
                llm.shutdown()

    async def _warm(self, states: Mapping[Marker, int]) -> None:
        """A first answer, so that what vLLM compiles at its first use keeps no caller waiting."""
        from_state = next(iter(states))
        prompt = Prompt([states[from_state]], {}, (from_state,))
        await self._writer.write(
            Job("", prompt, lambda _: None, lambda _: None, lambda: False, limit=2),
            self._table[:1].clone(),
        )

    def submit(self, job: Job) -> None:
        """As `Engine`."""
        if self._ended:
            job.end(EngineStoppedError("The vLLM engine has stopped; restart the model server."))
            return
        for other in list(self._works):
            if other.job.ahead and other.job.session_id == job.session_id:
                self._end(other, Cancelled())
        work = _Work(job)
        if not self._works:
            self._begun = time.monotonic()
        self._works[work] = None
        self._loop.call_soon_threadsafe(self._inbox.put_nowait, work)

    def close(self, session_id: str) -> None:
        """As `Engine`."""
        self._sessions.pop(session_id, None)

    def stats(self) -> EngineStats:
        """As `Engine`; the caches are vLLM's, which keeps its own measurements."""
        works = list(self._works)
        still = time.monotonic() - max(self._begun, self._llm.moved)
        waiting = sum(work.job.usage.first_token_s == 0 for work in works)
        return EngineStats(
            sessions=len(self._sessions),
            session_limit=self._limit,
            replies=len(works) - waiting,
            waiting=waiting,
            cache_rows=sum(len(session.sent) for session in list(self._sessions.values())),
            step_s=still if works or self._ended else 0.0,
        )

    def urgency(self) -> int | None:
        """As `Lane`: there is nothing to do here but to tell vLLM what is no longer wanted."""
        return URGENT if any(_given_up(work) for work in list(self._works)) else None

    def step(self) -> None:
        """As `Lane`."""
        for work in [work for work in list(self._works) if _given_up(work)]:
            self._end(work, Cancelled())

    def fail(self, error: BaseException) -> None:
        """As `Lane`."""
        for work in list(self._works):
            self._end(work, error)

    def stop(self) -> None:
        """As `Engine`."""
        self.fail(EngineStoppedError("The vLLM engine is being stopped."))
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, None)
        self._thread.join(STOP_S)

    def _end(self, work: _Work, why: BaseException) -> None:
        work.why = work.why or why
        self._loop.call_soon_threadsafe(_cancel, work)

    async def _do(self, work: _Work) -> None:
        """One job, from its turn to its end."""
        work.begun = True
        ended: BaseException | None = work.why
        try:
            if ended is None:
                await self._answer(work)
        except asyncio.CancelledError:
            ended = work.why or EngineStoppedError("The vLLM engine is being stopped.")
        except Exception as error:  # noqa: BLE001 - raised again at the job's consumer
            ended = error
            self._ended = self._ended or isinstance(error, EngineStoppedError)
        del self._works[work]
        work.job.end(ended)

    async def _answer(self, work: _Work) -> None:
        job = work.job
        session = self._session(job.session_id)
        async with session.turn:
            names = job.prompt.names
            full = names[: len(names) // self._llm.block * self._llm.block]
            if not job.prompt.expects and len(full) - _shared(full, session.sent) < job.least:
                return
            rows = self._rows(job)
            job.usage.input_tokens = len(names)
            if job.prompt.expects:
                await self._writer.write(job, rows)
            else:
                await self._writer.compute(rows[: len(full)])
            session.sent = full

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.setdefault(session_id, _Session())
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
        return session

    def _rows(self, job: Job) -> Tensor:
        """All rows of a prompt, checked: `[n, width]` in the model's type."""
        names = job.prompt.names
        asked = job.limit if job.prompt.expects else 0
        if len(names) + asked > self._settings.limit:
            raise RowsError(
                f"A prompt has at most {self._settings.limit} rows with its answer, not "
                f"{len(names)} + {asked}."
            )
        vocabulary, width = self._table.shape
        heard = checked_rows(job.prompt, names, vocabulary, width)
        ids = [name if isinstance(name, int) else 0 for name in names]
        rows = self._table[torch.tensor(ids, dtype=torch.long)]
        for index, name in enumerate(names):
            if name in heard:
                rows[index] = heard[name].to(rows)
        return rows


def _cancel(work: _Work) -> None:
    """One that has not begun ends when it does: a task cancelled before never runs at all."""
    if work.task is not None and work.begun:
        work.task.cancel()


def _shared(mine: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(mine, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(mine), len(other)))


def _given_up(work: _Work) -> bool:
    return work.why is None and work.job.cancelled()
