"""What all calls of a twin share."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from agent.mulaw import SAMPLE_RATE
from connectors.twilio.twin.account import TwinAccount, new_sid
from connectors.twilio.twin.audio import tone
from connectors.twilio.twin.caller import Pause, Script, Speak, WaitForEnd
from connectors.twilio.twin.faults import Faults
from connectors.twilio.twin.webhooks import Dialer, Method

AnsweredBy = Literal[
    "human",
    "machine_start",
    "machine_end_beep",
    "machine_end_silence",
    "machine_end_other",
    "fax",
    "unknown",
]
Policy = Literal["answer", "busy", "no_answer", "reject"]


@dataclass(frozen=True, slots=True)
class Callee:
    """How a number behaves when it is dialled.

    Attributes:
        policy: Answer, or one of the ways not to.
        ring_s: How long it rings before that.
        script: What the person does after answering.
        answered_by: What Twilio takes it for when asked to tell people from machines.
        verdict_s: How long that takes after the answer.
    """

    policy: Policy = "answer"
    ring_s: float = 0.5
    script: Script = (WaitForEnd(),)
    answered_by: AnsweredBy = "human"
    verdict_s: float = 0.3


HUMAN = Callee(script=(Speak(tone(600), "hello"), Pause(400)))
"""Whoever is transferred to when nothing else was said: greets, then puts the phone down."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a caller left. `sound` is µ-law."""

    call_sid: str
    sound: bytes = field(repr=False)
    sid: str = field(default_factory=lambda: new_sid("RE"))

    @property
    def duration_s(self) -> int:
        """Whole seconds, begun ones included."""
        return -(-len(self.sound) // SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class World:
    """Shared by all calls of one twin.

    Attributes:
        account: Whose calls they are.
        dialer: Sends webhooks.
        voice_url: Asked what to do with calls to any number.
        status_url: Told when such a call is over; empty for nobody.
        fallback_url: Asked when `voice_url` gives no usable answer; empty for nobody.
        faults: What goes wrong on purpose.
        calls_per_second: Outbound calls placed a second, further ones wait; None for any number.
        longest_queue: So many may wait; further ones are refused.
        callees: Behaviour of numbers that are dialled.
        recordings: What callers left, by SID.
        base_url: Tells where the REST interface is.
        tls: Trusted certificates of the agent; None for the system's.
        on_stream_loss: What a call does when its stream breaks without a close.
        voice: What `<Say>` sounds like.
    """

    account: TwinAccount
    dialer: Dialer
    voice_url: str
    status_url: str = ""
    fallback_url: str = ""
    faults: Faults = field(default_factory=Faults)
    calls_per_second: float | None = None
    longest_queue: int = 100
    callees: dict[str, Callee] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    base_url: Callable[[], str] = lambda: ""
    tls: ssl.SSLContext | None = None
    on_stream_loss: Literal["continue", "hang_up"] = "continue"
    voice: Literal["tone", "silence"] = "tone"


@dataclass(frozen=True, slots=True)
class Report:
    """Something to tell a status callback; it is sent after what was reported before."""

    url: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Go on with the document at this address."""

    url: str
    method: Method = "POST"
    fields: dict[str, str] = field(default_factory=dict)
    fallback_url: str = ""


@dataclass(frozen=True, slots=True)
class Inline:
    """Go on with this document."""

    twiml: str


Instruction = Fetch | Inline


@dataclass(frozen=True, slots=True)
class Order:
    """How an outbound call is to be placed.

    Attributes:
        status_url: Told about the call's states; empty for nobody.
        status_events: Which of initiated, ringing, answered, completed it is told about.
        ring_limit_s: An unanswered call ends after so long.
        time_limit_s: An answered call ends after so long.
        amd_url: Told who answered, without the call waiting for it; empty for nobody.
    """

    status_url: str = ""
    status_events: frozenset[str] = frozenset({"completed"})
    ring_limit_s: float = 60.0
    time_limit_s: float = 4 * 3600.0
    amd_url: str = ""
