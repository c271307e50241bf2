"""The kinds of events a call journal holds, each with the shape of its payload.

Times named `_ms` count from the start of the call's media leg. Keys that start with `pii_` hold
personal data. Payloads are JSON-ready; a kind may gain optional keys, never lose one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class CallAdmitted(TypedDict):
    """A connector announced the call and it was accepted."""

    carrier: str
    carrier_call_id: str
    direction: Literal["inbound", "outbound"]
    to: str
    pii_from: str
    line_version: str
    line: dict[str, Any]


class CallState(TypedDict):
    """The call moved to another state. Of two competing ones the higher `seq` holds."""

    state: Literal["admitted", "connected", "in_progress", "transferring", "ended"]
    attempt: int
    reason: str


class CarrierReport(TypedDict):
    """The carrier reported the end of the call."""

    reason: str


class Utterance(TypedDict):
    """One stretch of speech. `pii_heard` is the part of an agent's reply that was played."""

    role: Literal["caller", "agent"]
    pii_text: str
    start_ms: int
    end_ms: int
    pii_heard: NotRequired[str]
    interrupted: NotRequired[bool]


class Turn(TypedDict):
    """One answered turn. `latency_ms` runs from the caller's last sound to the first reply byte."""

    latency_ms: int
    metadata: NotRequired[dict[str, str]]


class Interruption(TypedDict):
    """The caller spoke over a reply and it was cut."""

    at_ms: int
    heard_ms: int


class Noise(TypedDict):
    """The model decided that a sound was not addressed to it."""

    at_ms: int
    metadata: NotRequired[dict[str, str]]


class Digit(TypedDict):
    """The caller pressed a key."""

    pii_digit: str
    at_ms: NotRequired[int]


class ToolIntent(TypedDict):
    """A tool is about to run. Flushed to disk before it does."""

    tool_call_id: str
    tool: str
    pii_arguments: str
    idempotency_key: str
    effect: NotRequired[Literal["none", "idempotent", "once"]]


class ToolResult(TypedDict):
    """A tool has ended; `pii_result` is the JSON text the model gets."""

    tool_call_id: str
    tool: str
    status: Literal[
        "ok", "refused", "failed", "crashed", "timed_out", "cancelled", "repeated", "unknown"
    ]
    pii_result: str
    duration_ms: int


class Disclosure(TypedDict):
    """What the caller has a right to know was said, as the hash of its text.

    `at_ms` is when it ended; `heard` is false when it was not played to its end in time.
    """

    about: Literal["assistant", "recording"]
    text_sha256: str
    at_ms: int
    heard: bool


class Consent(TypedDict):
    """What shows that someone agreed to be called."""

    about: Literal["outbound_call"]
    reference: str
    number_hash: str
    line: str
    purpose: str


class DoNotCall(TypedDict):
    """The other side asked not to be called again."""

    number_hash: str
    at_ms: int


class AnsweredBy(TypedDict):
    """The carrier's verdict on who answered: `human`, `machine_start`, `unknown` and the like."""

    verdict: str


class Silence(TypedDict):
    """A silence was broken: the agent asked for a moment, asked the caller, or gave up."""

    act: Literal["hold", "reprompt", "give_up"]
    at_ms: int


class HangUp(TypedDict):
    """The agent ended the call, for this reason."""

    reason: str
    at_ms: int


class Transfer(TypedDict):
    """The caller is being handed over to a person."""

    target: str
    reason: str


class TransferFailed(TypedDict):
    """Nobody took the caller: `busy`, `no-answer`, `failed` or `canceled`."""

    status: str


class Voicemail(TypedDict):
    """The caller left a message with the carrier, which keeps it at `url`."""

    url: str
    duration_s: int


class Recording(TypedDict):
    """A recording was closed."""

    path: str
    sha256: str
    bytes: int
    duration_ms: int


class Still(TypedDict):
    """A picture of the caller's camera that was shown to the model; `path` is a JPEG file."""

    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    at_ms: int


class ModelLink(TypedDict):
    """The connection to the model server changed."""

    state: Literal["connected", "lost", "resumed", "gone"]
    detail: NotRequired[str]


class Fault(TypedDict):
    """Something went wrong that a person may want to look at."""

    code: str
    message: str


class Caption(TypedDict):
    """Words as they are heard. `pii_text` is all of the item so far; empty for a caller who has begun.

    A later caption of the same item replaces an earlier one, and the utterance replaces them all.
    `final` with no text takes back what was taken for speech.
    """

    role: Literal["caller", "agent"]
    item_id: str
    pii_text: str
    final: bool


KINDS = MappingProxyType(
    {
        "call_admitted": CallAdmitted,
        "call_state": CallState,
        "carrier_report": CarrierReport,
        "utterance": Utterance,
        "turn": Turn,
        "interruption": Interruption,
        "noise": Noise,
        "digit": Digit,
        "tool_intent": ToolIntent,
        "tool_result": ToolResult,
        "disclosure": Disclosure,
        "consent": Consent,
        "do_not_call": DoNotCall,
        "answered_by": AnsweredBy,
        "silence": Silence,
        "hang_up": HangUp,
        "transfer": Transfer,
        "transfer_failed": TransferFailed,
        "voicemail": Voicemail,
        "recording": Recording,
        "still": Still,
        "model_link": ModelLink,
        "fault": Fault,
    }
)
"""Every kind a journal accepts, with its payload's shape."""

LIVE_KINDS = MappingProxyType({"caption": Caption})
"""Kinds that only the live view gets; no journal keeps them. Their `seq` is 0."""
