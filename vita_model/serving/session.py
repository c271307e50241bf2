"""The settings of a session: deep partial updates, effective values, what one answer overrides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import LIKELIEST, Sampling, ToolSpec
from vita_model.serving.events import Json, ProtocolError, explain
from vita_model.serving.patience import SILENCE_MS, Eagerness
from vita_model.serving.turns import TurnRules

MAX_REPLY_TOKENS = 400
"""What `max_output_tokens: "inf"` means: a spoken answer of about two minutes."""
MAX_SAY_CHARACTERS = 2_000
MAX_SETTINGS_CHARACTERS = 256_000
"""All settings as JSON: they are sent back whole, and some clients take no message over 1 MiB."""


class _Settings(BaseModel):
    """Null means the default, except for the fields where null means off."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    off_by_null: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {k: v for k, v in data.items() if v is not None or k in cls.off_by_null}


Off = Annotated[None, BeforeValidator(lambda _: None)]
"""Accepted whatever it is, and shown as off: this server does not do it."""


class PcmFormat(_Settings):
    """16-bit little-endian mono at 24 kHz."""

    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class G711Format(_Settings):
    """µ-law or A-law at 8 kHz."""

    type: Literal["audio/pcmu", "audio/pcma"]


AudioFormat = Annotated[PcmFormat | G711Format, Field(discriminator="type")]


def _share(value: Any) -> Any:
    return min(max(value, 0.05), 0.95) if isinstance(value, int | float) else value


def _span(value: Any) -> Any:
    return min(max(value, 0), 5_000) if isinstance(value, int | float) else value


def _idle(value: Any) -> Any:
    return min(max(value, 5_000), 30_000) if isinstance(value, int | float) else value


class ServerVad(_Settings):
    """Turns by silence alone. Numbers out of range are clamped.

    `idle_timeout_ms` is how long a caller may say nothing after an answer before the agent speaks
    again, 5 to 30 s; None means for ever.
    """

    type: Literal["server_vad"]
    threshold: Annotated[float, BeforeValidator(_share)] = 0.5
    prefix_padding_ms: Annotated[int, BeforeValidator(_span)] = 300
    silence_duration_ms: Annotated[int, BeforeValidator(_span)] = 500
    idle_timeout_ms: Annotated[int, BeforeValidator(_idle)] | None = None
    create_response: bool = True
    interrupt_response: bool = True

    def rules(self) -> TurnRules:
        """What the turn detector needs."""
        return TurnRules(
            threshold=self.threshold,
            prefix_ms=self.prefix_padding_ms,
            silence_ms=self.silence_duration_ms,
        )


class SemanticVad(_Settings):
    """Turns by what was said: how long to wait, and whether a sound is meant for the agent."""

    type: Literal["semantic_vad"]
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    def rules(self) -> TurnRules:
        """What the turn detector needs until the words of a turn are known."""
        return TurnRules(silence_ms=SILENCE_MS[self.eagerness]["unsure"])


class Transcription(_Settings):
    """The caller's words are wanted. The model writes them itself, whatever model is named."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class AudioInput(_Settings):
    """The caller's side."""

    off_by_null = frozenset({"turn_detection"})
    format: AudioFormat = PcmFormat(type="audio/pcm")
    transcription: Transcription | None = None
    noise_reduction: Off = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = (
        ServerVad(type="server_vad")
    )


class AudioOutput(_Settings):
    """The agent's side."""

    format: AudioFormat = PcmFormat(type="audio/pcm")
    voice: str | Json = "default"
    speed: Annotated[float, BeforeValidator(lambda _: 1.0)] = 1.0


class Audio(_Settings):
    """Both directions."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class FunctionTool(_Settings):
    """A tool of the business."""

    type: Literal["function"]
    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    parameters: Json = Field(default_factory=lambda: {"type": "object", "properties": {}})


Modality = Literal["audio", "text"]
ToolChoice = str | Json
MaxTokens = Annotated[int, Field(ge=1)] | Literal["inf"]


class Choice(_Settings):
    """How words are chosen. Not OpenAI's: clients send it a temperature they never chose."""

    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class Session(_Settings):
    """Effective settings of one session."""

    type: Literal["realtime"] = "realtime"
    model: str = ""
    output_modalities: list[Modality] = Field(default=["audio"], min_length=1)
    instructions: str = ""
    audio: Audio = Audio()
    tools: list[FunctionTool] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: MaxTokens = "inf"
    truncation: Annotated[Literal["auto"], BeforeValidator(lambda _: "auto")] = "auto"
    tracing: Off = None
    prompt: Json | None = None
    include: Off = None
    reasoning: Off = None
    vita_sampling: Choice = Choice()

    def updated(self, patch: Json, *, voice_frozen: bool = False) -> Session:
        """These settings with a client's partial update merged in.

        Args:
            patch: The `session` object of a `session.update`.
            voice_frozen: The agent has spoken already, so it keeps its voice.

        Raises:
            ProtocolError: a value is of no use; nothing was changed.
        """
        merged = _merge(self.model_dump(), patch)
        try:
            session = Session.model_validate(merged)
        except ValidationError as error:
            raise explain(error, "session") from None
        if session.prompt is not None:
            raise ProtocolError(
                "This server keeps no prompts; send their text as instructions.",
                "unsupported_parameter",
                "session.prompt",
            )
        if len(session.model_dump_json()) > MAX_SETTINGS_CHARACTERS:
            raise ProtocolError(
                f"The settings hold at most {MAX_SETTINGS_CHARACTERS} characters; "
                "shorten the instructions or the tools.",
                "invalid_value",
                "session",
            )
        if not voice_frozen:
            return session
        output = session.audio.output.model_copy(update={"voice": self.audio.output.voice})
        audio = session.audio.model_copy(update={"output": output})
        return session.model_copy(update={"audio": audio})

    @property
    def rules(self) -> TurnRules | None:
        """How turns are found; None when the client ends them itself."""
        detection = self.audio.input.turn_detection
        return None if detection is None else detection.rules()

    def options(self, patch: Json | None) -> ReplyOptions:
        """Settings of one answer: the session's with those of a `response.create` over them.

        Raises:
            ProtocolError: a value is of no use, or asks for what this server does not do.
        """
        try:
            request = _ResponsePatch.model_validate(patch or {})
        except ValidationError as error:
            raise explain(error, "response") from None
        request.refuse_unsupported(len(json.dumps(patch)))
        output = self.audio.output
        if request.audio is not None and "output" in request.audio:
            try:
                output = AudioOutput.model_validate(
                    _merge(output.model_dump(), request.audio["output"] or {})
                )
            except ValidationError as error:
                raise explain(error, "response.audio.output") from None
        tools = self.tools if request.tools is None else request.tools
        choice = self.tool_choice if request.tool_choice is None else request.tool_choice
        parallel = request.parallel_tool_calls
        limit = request.max_output_tokens or self.max_output_tokens
        return ReplyOptions(
            instructions=self.instructions
            if request.instructions is None
            else request.instructions,
            speak="audio" in (request.output_modalities or self.output_modalities),
            tools=tuple(ToolSpec(t.name, t.description, t.parameters) for t in tools),
            tool_choice=_chosen(choice, [tool.name for tool in tools]),
            parallel_calls=self.parallel_tool_calls if parallel is None else parallel,
            max_output_tokens=limit,
            wire=output.format.type,
            voice=output.voice if isinstance(output.voice, str) else str(output.voice.get("id")),
            metadata=request.metadata,
            sampling=Sampling(**(request.vita_sampling or self.vita_sampling).model_dump()),
        )


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """Settings of one answer, complete."""

    instructions: str
    speak: bool
    tools: tuple[ToolSpec, ...]
    tool_choice: str
    parallel_calls: bool
    max_output_tokens: int | Literal["inf"]
    wire: WireFormat
    voice: str
    metadata: dict[str, str] | None
    sampling: Sampling = LIKELIEST

    @property
    def max_tokens(self) -> int:
        """Upper limit of generated tokens."""
        if self.max_output_tokens == "inf":
            return MAX_REPLY_TOKENS
        return min(self.max_output_tokens, MAX_REPLY_TOKENS)

    @property
    def say(self) -> str | None:
        """A text to be spoken as it is instead of an answer."""
        return (self.metadata or {}).get("vita_say") or None


class _ResponsePatch(_Settings):
    instructions: str | None = None
    output_modalities: list[Modality] | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: MaxTokens | None = None
    audio: dict[str, Json | None] | None = None
    metadata: dict[str, str] | None = None
    vita_sampling: Choice | None = None
    conversation: str = "auto"
    input: list[Json] | None = None

    def refuse_unsupported(self, characters: int) -> None:
        """Raise for what would need a second conversation, and for settings too large."""
        if characters > MAX_SETTINGS_CHARACTERS:
            raise ProtocolError(
                f"The settings hold at most {MAX_SETTINGS_CHARACTERS} characters.",
                "invalid_value",
                "response",
            )
        if self.conversation != "auto":
            raise ProtocolError(
                "An answer outside the conversation is not offered; leave response.conversation out.",
                "unsupported_parameter",
                "response.conversation",
            )
        if self.input is not None:
            raise ProtocolError(
                "response.input is not offered; add the items with conversation.item.create.",
                "unsupported_parameter",
                "response.input",
            )
        if len((self.metadata or {}).get("vita_say", "")) > MAX_SAY_CHARACTERS:
            raise ProtocolError(
                f"vita_say holds at most {MAX_SAY_CHARACTERS} characters; say the text in parts.",
                "invalid_value",
                "response.metadata.vita_say",
            )


def _chosen(choice: ToolChoice, offered: Sequence[str]) -> str:
    """A mode, or the name of the only tool that may be called."""
    if choice in ("auto", "none", "required"):
        return str(choice)
    name = choice if isinstance(choice, str) else choice.get("name")
    if not isinstance(name, str) or not name:
        raise ProtocolError("tool_choice names no function.", "invalid_value", "tool_choice")
    if name not in offered:
        raise ProtocolError(
            f"tool_choice names {name!r}, which is not among the tools.",
            "invalid_value",
            "tool_choice",
        )
    return name


def _merge(current: Json, patch: Json) -> Json:
    merged = dict(current)
    for key, value in patch.items():
        old = merged.get(key)
        if key == "turn_detection" and isinstance(value, dict) and "type" not in value:
            old = old if isinstance(old, dict) else {"type": "server_vad"}
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged
