"""One call at the twin: its state, and a hand on its caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from connectors.twilio.twin.account import new_sid
from connectors.twilio.twin.caller import HangUp, Press, ScriptedCaller, Speak
from connectors.twilio.twin.heard import Heard, Recorder
from connectors.twilio.twin.timeline import Timeline

Status = Literal[
    "queued",
    "initiated",
    "ringing",
    "in-progress",
    "completed",
    "busy",
    "failed",
    "no-answer",
    "canceled",
]
Direction = Literal["inbound", "outbound-api", "outbound-dial"]

OVER: frozenset[Status] = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(slots=True, eq=False)
class TwinCall:
    """One call, as the twin's user sees it.

    Attributes:
        sid: `CA…`.
        to: Dialled number.
        from_: Calling number.
        direction: `inbound` was placed by a scripted caller, `outbound-api` over REST,
            `outbound-dial` by `<Dial>`.
        caller: The person on the phone.
        status_url: Told about status changes.
        status_events: Which of initiated, ringing, answered, completed it is told about.
        status: Twilio's call status.
        answered_by: Twilio's verdict on who answered; empty when nobody asked for one.
        queue_s: How long it had to wait for its turn to be placed.
        timeline: Everything that happened.
    """

    to: str
    from_: str
    direction: Direction
    caller: ScriptedCaller
    status_url: str = ""
    status_events: frozenset[str] = frozenset({"completed"})
    sid: str = field(default_factory=lambda: new_sid("CA"))
    status: Status = "queued"
    answered_by: str = ""
    queue_s: float = 0.0
    timeline: Timeline = field(default_factory=Timeline)
    recorder: Recorder = field(default_factory=Recorder)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in OVER

    @property
    def heard(self) -> Heard:
        """What both sides have sounded like so far."""
        return self.recorder.heard()

    @property
    def gave_up(self) -> str:
        """Why the caller lost patience; empty when everything went by the script."""
        return self.caller.gave_up

    @property
    def duration_s(self) -> int:
        """Whole seconds since the answer."""
        if self.answered_at is None:
            return 0
        return int(((self.ended_at or datetime.now(UTC)) - self.answered_at).total_seconds())

    async def wait_ended(self, limit_s: float = 120.0) -> None:
        """Wait until the call is over and its status was reported.

        Raises:
            TimeoutError: It is not over after `limit_s`.
        """
        async with asyncio.timeout(limit_s):
            await self._ended.wait()

    def hang_up(self) -> None:
        """The caller puts the phone down, at once or as soon as the call is answered."""
        self.caller.interject(HangUp())

    def press(self, digits: str) -> None:
        """The caller presses keys."""
        self.caller.interject(Press(digits))

    def say(self, audio: Speak | Path) -> None:
        """The caller says this now.

        Raises:
            BadAudioError: The file cannot be read.
        """
        self.caller.interject(audio if isinstance(audio, Speak) else Speak.file(audio))

    def go_silent(self) -> None:
        """The caller stays on the line and says nothing more."""
        self.caller.go_silent()

    def become(self, status: Status) -> None:
        """Enter a state."""
        self.status = status
        self.timeline.add("status", status=status)
        if status == "in-progress":
            self.answered_at = datetime.now(UTC)
        elif status in OVER:
            self.ended_at = datetime.now(UTC)

    def settle(self) -> None:
        """Let go of whoever waits for the end."""
        self._ended.set()

    def fields(self, account_sid: str) -> dict[str, str]:
        """Standard fields of every webhook about this call."""
        return {
            "CallSid": self.sid,
            "AccountSid": account_sid,
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
            "CallStatus": self.status,
            "ApiVersion": "2010-04-01",
            "Direction": self.direction,
            "FromCity": "",
            "FromState": "",
            "FromZip": "",
            "FromCountry": "US",
            "ToCity": "",
            "ToState": "",
            "ToZip": "",
            "ToCountry": "US",
        }
