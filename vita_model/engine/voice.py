"""The one interface between the Realtime server and a model that hears and speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vita_model.media import MediaError

Samples = NDArray[np.float32]
"""Mono audio, float32 in [-1, 1]."""

Marker = Literal["query", "typed", "noise"]
"""VITA's state token: ☞ spoken query, ☜ typed query, ☟ noise or not addressed to the agent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listener made of one utterance.

    Attributes:
        transcript: The caller's words; empty when no word was heard.
        features: Opaque rows for the language model, `[positions, width]`; belongs to the model.
        seconds: Length of the utterance.
        query: Probability that its last 0.7 s are meant for the agent, and are neither a backchannel,
            nor somebody else in the room, nor noise; None where the model cannot tell.
    """

    transcript: str
    features: Any
    seconds: float
    query: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the eye made of one picture.

    Attributes:
        features: Opaque rows for the language model; belongs to the model.
        rows: How many rows of a prompt the picture takes.
    """

    features: Any
    rows: int


class PictureError(MediaError):
    """A picture cannot be read; the message says what is wrong with it."""


class TooLongError(ValueError):
    """A conversation does not fit the model's context; the message says what to do."""


class ToolError(ValueError):
    """Tools cannot be offered as they are; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool the caller's business offers. `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UserSpeech:
    """A spoken turn of the caller."""

    heard: Heard


@dataclass(frozen=True, slots=True)
class UserText:
    """A typed turn, or a turn known only by its text (replayed history)."""

    text: str


@dataclass(frozen=True, slots=True)
class UserImage:
    """One picture shown with the caller's turn that follows, or else with the one before."""

    seen: Seen


@dataclass(frozen=True, slots=True)
class SystemText:
    """An instruction given in mid-conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantText:
    """What the agent said, cut to what was heard."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call the agent made. `arguments` is a JSON string."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The answer to a tool call, as text (JSON by custom)."""

    call_id: str
    output: str


Entry = UserSpeech | UserText | UserImage | SystemText | AssistantText | ToolCall | ToolOutput


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the words of an answer are chosen; its state and a voice's codes are not sampled.

    Attributes:
        temperature: Spread of the choice; at 0 the likeliest token is written.
        top_p: Only the likeliest tokens are chosen from, up to this share together, above 0 to 1.
        seed: Makes the answer to the same conversation the same again; None for another each time.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


LIKELIEST = Sampling()
"""Always the likeliest token."""


@dataclass(frozen=True, slots=True)
class Request:
    """Everything one reply depends on.

    The model keeps its own cache per session and finds the longest shared prefix itself, so a
    caller never speaks of caches: truncating or deleting an entry is enough.
    """

    session_id: str
    instructions: str
    tools: Sequence[ToolSpec]
    entries: Sequence[Entry]
    speak: bool = True
    max_tokens: int = 400
    tool_choice: str = "auto"
    parallel_calls: bool = True
    voice: str = "default"
    sampling: Sampling = LIKELIEST


@dataclass(frozen=True, slots=True)
class State:
    """First event of every reply: the state token and its probabilities."""

    marker: Marker
    probabilities: Mapping[Marker, float]


@dataclass(frozen=True, slots=True)
class Text:
    """A further piece of the spoken answer."""

    delta: str


@dataclass(frozen=True, slots=True)
class Audio:
    """A further piece of speech at `VoiceModel.output_rate`.

    Attributes:
        samples: Mono float32.
        text_end: Number of characters of the answer's text spoken when this piece ends.
    """

    samples: Samples
    text_end: int


@dataclass(frozen=True, slots=True)
class Call:
    """A complete tool call. `arguments` is a JSON string."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Done:
    """Last event of every reply that was not cancelled."""

    reason: Literal["stop", "length"]
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    timings: Mapping[str, float] = field(default_factory=dict)
    image_tokens: int = 0
    """Those of `input_tokens` that are rows of pictures."""


ReplyEvent = State | Text | Audio | Call | Done


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a host must tell about the weights it serves."""

    name: str
    licence: str
    licence_note: str
    parameters: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How much a model has to do and to hold. Memory is in bytes.

    Attributes:
        sessions: Conversations with something kept for them.
        session_limit: Conversations kept at most; beyond it the one unused longest is dropped.
        replies: Replies being computed.
        waiting: Replies that wait for their first step.
        cache_rows: Prompt rows kept over all sessions.
        cache_bytes: Memory those take, growth reserved by them included.
        session_bytes: The most one session can take.
        weight_bytes: Memory of the weights.
        step_s: Seconds the step that runs now has been running, 0 between steps. One that does
            not end means that the engine is stuck.
    """

    sessions: int = 0
    session_limit: int = 0
    replies: int = 0
    waiting: int = 0
    cache_rows: int = 0
    cache_bytes: int = 0
    session_bytes: int = 0
    weight_bytes: int = 0
    step_s: float = 0.0


class VoiceModel(Protocol):
    """A model that hears and speaks. One instance serves all sessions of a process.

    Heavy work runs in the model's own threads: no method blocks the event loop.
    """

    input_rate: int
    """Samples per second `hear` expects (16,000)."""
    output_rate: int
    """Samples per second of `Audio` pieces (24,000)."""
    hears_in_chunks: bool
    """A further pass of `hear_partly` costs no more than what is new, and all of it is used."""

    @property
    def card(self) -> ModelCard:
        """Name, size and licence of the weights."""
        ...

    async def hear(self, samples: Samples) -> Heard:
        """Encode one utterance (0.1 s to 60 s at `input_rate`).

        Raises:
            AudioError: It holds values that are no numbers.
        """
        ...

    async def hear_partly(self, request: Request, samples: Samples) -> str:
        """Listen to an utterance that still goes on, to have less to do at its end.

        What two passes agree on may be computed ahead of the reply. Only saves time; cancelled
        like `reply`.

        Args:
            request: What the reply will depend on, without this utterance.
            samples: The utterance so far, from its beginning.

        Raises:
            AudioError: It holds values that are no numbers.

        Returns:
            The words that are certain so far; every further call gives these and perhaps more.
        """
        ...

    async def see(self, data: bytes) -> Seen:
        """Decode and encode one picture, a JPEG or PNG.

        Raises:
            PictureError: it cannot be read, or is too large or too small.
        """
        ...

    async def check_tools(self, tools: Sequence[ToolSpec]) -> None:
        """Make ready for replies that may call these tools.

        Raises:
            ToolError: A tool's parameters are no JSON schema, or use what calls cannot be held to.
        """
        ...

    async def prepare(self, session_id: str, instructions: str, tools: Sequence[ToolSpec]) -> None:
        """Compute the prompt of a session ahead of its first turn. Optional, only saves time."""
        ...

    async def look_ahead(self, request: Request) -> None:
        """Compute what the next prompt begins with, when an answer or a whole past was added.

        Mostly it is what is kept already. After an answer that fills the context it is another: the
        oldest turns are left out, and all behind them are computed anew. Optional, only saves time:
        it is done while nothing else is to be done, and until the session's next reply, which goes on
        from it. Cancelled like `reply`.

        Args:
            request: What the next reply will depend on, as far as it is known.
        """
        ...

    def reply(self, request: Request) -> AsyncIterator[ReplyEvent]:
        """Stream one reply: `State`, then `Text`/`Audio`/`Call` as they come, then `Done`.

        After a noise state nothing but `Done` follows. Closing the iterator (`aclose`) or
        cancelling its task stops the computation within one step.

        Raises:
            TooLongError: The last turn is beyond the context, whatever is left out before it.
        """
        ...

    def say(self, text: str, voice: str = "default") -> AsyncIterator[ReplyEvent]:
        """Speak a given text: `Text` and `Audio` pieces, then `Done`. Cancelled like `reply`."""
        ...

    def stats(self) -> EngineStats:
        """What is held and done at the moment. Quick, from any thread."""
        ...

    async def forget(self, session_id: str) -> None:
        """Drop what is kept for a session. Unknown sessions are ignored."""
        ...

    async def close(self) -> None:
        """Stop all threads. The model cannot be used afterwards."""
        ...
