"""A phone line: the number, what it knows, how it speaks and what it may do."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agent.calls.hours import OpeningHours
from agent.calls.outbound_rules import OutboundRules

E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]
E164OrNone = Annotated[str, StringConstraints(pattern=r"^(\+[1-9]\d{6,14})?$")]
Slug = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$")]
OneLine = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\n]+$")]


class Line(BaseModel):
    """One way in and its whole configuration. Immutable: a call keeps the one it began with.

    Attributes:
        number: Dialled number, E.164; empty for a line that is only on the web.
        web: Name of the line's call page, `/call/NAME`; empty for none.
        carrier: Who brings the calls to `number`.
        business: Name of the business, as spoken.
        persona: A sentence on who the agent is and how it speaks; may be empty.
        facts: What the agent knows, one fact a string.
        greeting: First words of the agent.
        disclosure: Words said before the greeting that nobody can interrupt; may be empty.
        hours: When the business is open; always when absent.
        after_hours: What happens to calls outside `hours`: the agent answers all the same, or
            `after_hours_text` is said and the call ends.
        after_hours_text: Said to callers outside `hours`.
        tools: Names of the tools this line may use.
        transfer_target: Number of a person to hand the caller to, E.164; empty for none.
        voicemail: Whether a caller nobody can help may leave a message with the carrier.
        recording: Whether calls are recorded.
        recording_announcement: Said with the disclosure on a line that records; may be empty.
        video: Whether a caller from the web may show something to the camera.
        keep_stills: Whether the pictures the model was shown are kept with the call.
        reprompt_after_s: Seconds of silence after which the caller is asked again; 0 for never.
        reprompts: How often in a row a silent caller is asked before the call ends.
        reprompt_text: What a silent caller is asked.
        max_duration_s: Longest call, in seconds.
        outbound: Rules for calls the line places; it places none when absent.
        voice: Name of the voice, as the model server knows it.
        instructions_override: Replaces the whole system prompt when set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: E164OrNone = ""
    web: Slug = ""
    carrier: Literal["twilio"] = "twilio"
    business: OneLine
    persona: str = ""
    facts: tuple[OneLine, ...] = ()
    greeting: OneLine
    disclosure: str = ""
    hours: OpeningHours | None = None
    after_hours: Literal["answer", "say"] = "answer"
    after_hours_text: str = ""
    tools: tuple[str, ...] = ()
    transfer_target: E164OrNone = ""
    voicemail: bool = False
    recording: bool = False
    recording_announcement: str = ""
    video: bool = False
    keep_stills: bool = False
    reprompt_after_s: int = Field(default=12, ge=0, le=120)
    reprompts: int = Field(default=2, ge=1, le=10)
    reprompt_text: OneLine = "Are you still there?"
    max_duration_s: int = Field(default=600, ge=10, le=4 * 3600)
    outbound: OutboundRules | None = None
    voice: str = "default"
    instructions_override: str = ""

    @model_validator(mode="after")
    def _transfer_needs_a_target(self) -> Line:
        if "transfer_to_human" in self.tools and not self.transfer_target:
            raise ValueError("the tool transfer_to_human needs a transfer_target")
        return self

    @model_validator(mode="after")
    def _keys_that_need_each_other(self) -> Line:
        if not (self.number or self.web):
            raise ValueError("a line needs a number, or a web name for its call page")
        if self.after_hours == "say" and not (self.hours and self.after_hours_text):
            raise ValueError("after_hours: say needs hours and an after_hours_text")
        if self.video and not self.web:
            raise ValueError("video needs a web name: a phone has no camera")
        if self.outbound and not (self.outbound.time_zone or self.hours):
            raise ValueError("outbound needs a time_zone, its own or that of the hours")
        if self.keep_stills and not self.video:
            raise ValueError("keep_stills needs video")
        return self

    @property
    def entry(self) -> str:
        """How calls reach the line, and its name in the log: the number, else `web:NAME`."""
        return self.number or f"web:{self.web}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that callers reach the line by: its number, its call page as `web:NAME`."""
        page = f"web:{self.web}" if self.web else ""
        return tuple(each for each in (self.number, page) if each)

    def instructions(self) -> str:
        """The system prompt: who the agent is, then its facts, one a line."""
        if self.instructions_override:
            return self.instructions_override
        parts = [
            f"You answer the phone for {self.business}.",
            self.persona.strip(),
            "Answer briefly and only from these facts.",
        ]
        head = " ".join(part for part in parts if part)
        return "\n".join([head, *(f"- {fact}" for fact in self.facts)])

    def version(self) -> str:
        """A hash that is equal for equal configurations: 64 hexadecimal digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
