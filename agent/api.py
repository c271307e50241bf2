"""What a connector may use of the agent: admit a call, then hand over its media leg.

A connector knows its carrier's webhooks and sockets. It turns them into the neutral types of this
module and never sees a pipeline, a store or the model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from agent.audio import AudioFormat

Direction = Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call a carrier announces.

    Attributes:
        carrier: Name of the carrier, such as `twilio`; `web` for a call page.
        carrier_call_id: The carrier's own id of the call.
        to_number: Our side: the line's number, E.164, or `web:NAME` for the call page of that name.
            An outbound call is placed from it.
        from_number: The other side's number, E.164, or empty when withheld.
        direction: Who called whom.
    """

    carrier: str
    carrier_call_id: str
    to_number: str
    from_number: str
    direction: Direction = "inbound"


@dataclass(frozen=True, slots=True)
class Admission:
    """An accepted call. `token` opens its media stream once, within `token_ttl_s` seconds."""

    call_id: str
    token: str
    token_ttl_s: float


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """Caller audio in the leg's format; `timestamp_ms` is presentation time on the leg."""

    payload: bytes
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """Playback reached a mark, or a `clear` flushed it."""

    name: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """The caller pressed a key: one of 0-9, *, #."""

    digit: str


@dataclass(frozen=True, slots=True)
class TextTyped:
    """The caller wrote instead of speaking."""

    text: str


LegEvent = MediaFrame | MarkPlayed | DigitPressed | TextTyped


class MediaLeg(Protocol):
    """One open, two-way audio path to a caller, in one format in both directions.

    The far side buffers what is sent and plays it in order and in real time.
    """

    @property
    def audio(self) -> AudioFormat:
        """The format of what is sent and received."""
        ...

    def events(self) -> AsyncIterator[LegEvent]:
        """Everything the far side sends; ends when the leg is closed by either side."""
        ...

    async def send_audio(self, payload: bytes) -> None:
        """Queue audio in the leg's format for playback. Ignored once the leg is closed."""
        ...

    async def send_mark(self, name: str) -> None:
        """Ask for a `MarkPlayed` when everything sent so far was played."""
        ...

    async def clear(self) -> None:
        """Drop what is queued at the far side; its pending marks come back at once."""
        ...

    async def close(self) -> None:
        """Close the leg. The carrier then goes on with the call as `CallControl` told it."""
        ...


@dataclass(frozen=True, slots=True)
class Caption:
    """What one side says, as far as it is known.

    Attributes:
        speaker: Who speaks.
        turn: Id of the turn; a later caption of the same turn replaces an earlier one.
        text: All words of the turn so far; empty for a sound without words.
        final: Nothing of the turn will change any more.
    """

    speaker: Literal["caller", "agent"]
    turn: str
    text: str
    final: bool


@runtime_checkable
class CaptionedLeg(Protocol):
    """A media leg that can also show what is said."""

    def show_caption(self, caption: Caption) -> None:
        """Show it as soon as may be. Never waits and never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of the caller's camera: a JPEG file, `width` by `height` pixels."""

    jpeg: bytes
    width: int
    height: int


@runtime_checkable
class CameraLeg(Protocol):
    """A media leg whose caller may show something to a camera."""

    async def still(self, age_s: float) -> Still | None:
        """The picture of `age_s` seconds ago, as near as may be; None while the camera is off."""
        ...


class CallControl(Protocol):
    """What can be done to the carrier's side of one call."""

    async def hang_up(self) -> None:
        """End the call at the carrier.

        Raises:
            CarrierError: The carrier refused or did not answer in time.
        """
        ...

    async def transfer(self, target: str) -> None:
        """Connect the caller to `target` (E.164); the agent's part of the call ends.

        Raises:
            CarrierError: The carrier refused or did not answer in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class DialOrder:
    """An outbound call to place.

    Attributes:
        from_number: The line's number, E.164.
        to_number: Whom to call, E.164.
        ring_s: How long to let it ring.
        longest_s: The carrier ends the call after so long, whatever we do.
        wait_for_tone: Whether the verdict on an answering machine waits for its tone.
    """

    from_number: str
    to_number: str
    ring_s: int
    longest_s: int
    wait_for_tone: bool = False


class Dialler(Protocol):
    """A carrier that places calls. They then come in like any other, as `outbound`."""

    name: str
    """As in `IncomingCall.carrier`."""

    async def dial(self, order: DialOrder) -> str:
        """Place a call; returns the carrier's own id of it.

        Raises:
            CarrierError: The carrier refused or did not answer in time.
        """
        ...


CallOutcome = Literal["caller_hung_up", "agent_ended", "transferred", "failed"]


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a caller is told of a line before calling.

    Attributes:
        business: Name of the business.
        disclosure: What the caller must know beforehand; may be empty.
        recorded: Whether the call will be recorded.
        video: Whether the caller may show something to the camera.
    """

    business: str
    disclosure: str
    recorded: bool
    video: bool


class CallDesk(Protocol):
    """The agent's front desk. One per process."""

    def entrance(self, to_number: str) -> Entrance:
        """What to tell a caller of the line with this number, or this call page, `web:NAME`.

        Raises:
            LineNotFoundError: No line has it.
        """
        ...

    async def admit(self, call: IncomingCall) -> Admission:
        """Accept a call: line looked up, capacity checked, call logged, token issued.

        Admitting the same carrier call again returns a fresh token for the same `call_id`.

        Raises:
            LineNotFoundError: No line has this number.
            AfterHoursError: The line is closed; the sentence is for the caller.
            CallEndedError: This carrier call has ended for good.
            CapacityError: No room for another call.
            SessionStoreError: Redis is out of reach.
        """
        ...

    async def claim(self, token: str, carrier_call_id: str) -> str:
        """Exchange a one-use token for its `call_id`.

        Raises:
            TokenRejectedError: Unknown, expired, used, or issued for another call.
            SessionStoreError: Redis is out of reach.
        """
        ...

    async def serve(self, call_id: str, leg: MediaLeg, control: CallControl) -> CallOutcome:
        """Run the call over its media leg until either side ends it.

        Never raises for the model, a tool or a store: the caller hears an apology and the outcome
        is `failed`.
        """
        ...

    async def answered_by(self, carrier: str, carrier_call_id: str, verdict: str) -> bool:
        """The carrier's verdict on who answered an outbound call, such as `machine_start`.

        Returns:
            Whether the carrier should hang up at once: a machine answered, and nobody here talks.
        """
        ...

    async def message_left(
        self, carrier: str, carrier_call_id: str, url: str, duration_s: int
    ) -> None:
        """The caller left a message with the carrier, to be heard at `url` with its credentials."""
        ...

    async def ended(self, carrier: str, carrier_call_id: str, reason: str) -> None:
        """The carrier reports that the call is over (it may be so before any media came)."""
        ...

    async def next_step(self, carrier: str, carrier_call_id: str, *, dialled: str = "") -> NextStep:
        """What the carrier should do now that the media stream has ended.

        Args:
            carrier: Name of the carrier.
            carrier_call_id: The carrier's own id of the call.
            dialled: Why a person that was dialled did not take the call: `busy`, `no-answer`,
                `failed`, `canceled`; empty when nobody was dialled.
        """
        ...


@dataclass(frozen=True, slots=True)
class NextStep:
    """After the stream: hang up, dial a human, reconnect the agent, take a message, or say sorry."""

    kind: Literal["hang_up", "dial", "reconnect", "take_message", "apologise"]
    target: str = ""
