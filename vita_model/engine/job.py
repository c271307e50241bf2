"""One answer to compute: what goes in, where its events go, how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from vita_model.engine.cache import Cache
from vita_model.engine.voice import LIKELIEST, Call, Marker, Sampling, State, Text, ToolSpec

if TYPE_CHECKING:
    from vita_model.engine.guesses import Guesses
    from vita_model.engine.writer import Pen


class Cancelled(Exception):  # noqa: N818 - a signal, not an error
    """The reply is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Rows of a conversation: token ids, or heard rows with an identity.

    Attributes:
        names: Identity of every row; an int is a token id.
        heard: Rows for names that are no token ids.
        expects: Which markers may come first; none when only the prompt is computed.
    """

    names: list[Hashable]
    heard: dict[Hashable, Tensor]
    expects: tuple[Marker, ...] = ()


@dataclass(slots=True)
class Usage:
    """Counts and times (seconds since the job was given) of one reply."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    prefill_s: float = 0.0
    first_token_s: float = 0.0
    reason: Literal["stop", "length"] = "stop"


@dataclass(slots=True, eq=False)
class Job:
    """One answer to compute, or a prompt alone.

    Attributes:
        emit: Takes the events of the answer, in the engine's thread.
        end: Called once, with None or with what went wrong (`Cancelled` when not wanted).
        cancelled: Asked before every step.
        least: With fewer rows than this to compute, a prompt alone is left as it is.
        ahead: A prompt alone that is computed while nobody waits for anything; it ends with `Cancelled`
            once its session has another job, which goes on from the rows computed so far.
    """

    session_id: str
    prompt: Prompt
    emit: Callable[[State | Text | Call], None]
    end: Callable[[BaseException | None], None]
    cancelled: Callable[[], bool]
    tools: Sequence[ToolSpec] = ()
    tool_choice: str = "auto"
    parallel_calls: bool = True
    limit: int = 400
    sampling: Sampling = LIKELIEST
    least: int = 1
    ahead: bool = False
    usage: Usage = field(default_factory=Usage)
    begin: float = field(default_factory=time.perf_counter)
    cache: Cache | None = None
    pending: Sequence[Hashable] = ()
    writing: Iterator[Sequence[int]] | None = None
    pen: Pen | None = None
    guesses: Guesses | None = None
