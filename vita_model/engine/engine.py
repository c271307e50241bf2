"""What runs a language model: it takes answers as jobs and gives their events as they are written.

A job names every row of its prompt. What an engine kept for the session from the same beginning is
not computed again, so whoever asks never speaks of caches: a prompt that goes on from the last one
appends, a shorter one cuts, and a prompt without an answer is computed ahead.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from vita_model.engine.job import Job, Prompt
from vita_model.engine.scheduler import Lane
from vita_model.engine.voice import EngineStats


class RowsError(ValueError):
    """A prompt has rows of a wrong shape or kind, or more than fit. Nothing of it was computed."""


class EngineStoppedError(RuntimeError):
    """The engine has ended and answers nobody any more; the model server must be restarted."""


class Engine(Lane, Protocol):
    """Answers many conversations at once. Jobs of one session run one after another.

    A job ends once: with None, `Cancelled`, `RowsError`, a `ToolError` when its tools cannot be
    offered, or `EngineStoppedError`. What is wrong with one job harms no other.
    A job that computes ahead gives way to the next one of its session.
    """

    def submit(self, job: Job) -> None:
        """Take a job. From any thread; wake the scheduler afterwards, also when it is cancelled."""
        ...

    def close(self, session_id: str) -> None:
        """Forget what is kept for a session. A job that uses it ends undisturbed."""
        ...

    def stats(self) -> EngineStats:
        """What is held and done at the moment. Quick, from any thread."""
        ...

    def stop(self) -> None:
        """Give threads, processes and memory back; after the scheduler has been closed."""
        ...


def checked_rows(
    prompt: Prompt, names: Sequence[Hashable], vocabulary: int, width: int
) -> dict[Hashable, Tensor]:
    """The heard rows among some of a prompt's names.

    Raises:
        RowsError: There are none; an id is outside the vocabulary; a row is missing, of another
            width, not floating point or not finite.
    """
    if not names:
        raise RowsError("A prompt has at least one row.")
    heard: dict[Hashable, Tensor] = {}
    for name in names:
        if isinstance(name, int):
            if not 0 <= name < vocabulary:
                raise RowsError(f"Token ids go from 0 to {vocabulary - 1}, not {name}.")
            continue
        row = prompt.heard.get(name)
        if row is None or tuple(row.shape) != (width,) or not row.is_floating_point():
            raise RowsError(f"Every heard row of a prompt is {width} floating-point numbers.")
        heard[name] = row
    if heard and not bool(torch.stack([*heard.values()]).isfinite().all()):
        raise RowsError("A heard row holds a number that is not finite.")
    return heard
