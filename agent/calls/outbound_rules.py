"""When a line may call someone: consent, do-not-call list, quiet hours, attempts. No I/O."""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.errors import VitaError

_E164: Final = re.compile(r"\+[1-9]\d{6,14}")
_SPAN: Final = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")

Machine = Literal["hang_up", "leave_message"]


class OutboundRules(BaseModel):
    """What a line does when it calls out. Immutable; a line without them calls nobody.

    Attributes:
        greeting: First words after the disclosure: who calls, and why.
        hours: When people may be called, `8:00-21:00`, in their local time.
        time_zone: Where the called people live, unless a call names another zone; empty for the
            zone of the line's opening hours.
        attempts_per_day: Calls to one number on one day.
        answering_machine: Hang up, or say `message` after the tone and then hang up.
        message: Said to an answering machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    greeting: str = Field(min_length=1, pattern=r"^[^\n]+$")
    hours: str = "8:00-21:00"
    time_zone: str = ""
    attempts_per_day: int = Field(default=2, ge=1, le=20)
    answering_machine: Machine = "hang_up"
    message: str = ""

    @field_validator("hours")
    @classmethod
    def _readable_hours(cls, text: str) -> str:
        _minutes(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name:
            zone(name)
        return name

    @model_validator(mode="after")
    def _a_message_to_leave(self) -> OutboundRules:
        if self.answering_machine == "leave_message" and not self.message:
            raise ValueError("answering_machine: leave_message needs a message")
        return self

    def allows(self, local: datetime) -> bool:
        """Whether people may be called at this local time of theirs."""
        start, end = _minutes(self.hours)
        return start <= local.hour * 60 + local.minute < end


class OutboundRefusedError(VitaError):
    """The rules forbid a call. Subclasses say which one does."""

    code = "outbound_refused"
    http_status = 403


class BadNumberError(OutboundRefusedError):
    """That is no number that can be called."""

    code = "bad_number"
    http_status = 422


class NotAllowedOutError(OutboundRefusedError):
    """The line does not call out."""

    code = "line_calls_nobody"


class NoConsentError(OutboundRefusedError):
    """Nothing says that this person agreed to be called."""

    code = "no_consent"


class DoNotCallError(OutboundRefusedError):
    """This person asked not to be called."""

    code = "do_not_call"


class QuietHoursError(OutboundRefusedError):
    """It is too early or too late where this person lives."""

    code = "quiet_hours"


class AttemptLimitError(OutboundRefusedError):
    """This person was called often enough today."""

    code = "attempt_limit"
    http_status = 429


def require_number(text: str) -> str:
    """The number, if it is one.

    Raises:
        BadNumberError: It is not E.164.
    """
    if not _E164.fullmatch(text):
        raise BadNumberError("The number to call must look like +15550123.")
    return text


def number_hash(number: str) -> str:
    """What is kept of a number where only sameness matters: 64 hexadecimal digits."""
    return hashlib.sha256(f"vita-number:{number}".encode()).hexdigest()


def zone(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        ValueError: There is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}: Europe/London is one") from error


def check_hours(rules: OutboundRules, now: datetime, local_zone: ZoneInfo) -> date:
    """The called person's day, if they may be called now.

    Raises:
        QuietHoursError: They may not.
    """
    local = now.astimezone(local_zone)
    if not rules.allows(local):
        raise QuietHoursError(
            f"It is {local:%H:%M} in {local_zone.key}, and people are called from {rules.hours}: "
            "try again then."
        )
    return local.date()


def is_machine(verdict: str) -> bool:
    """Whether an answer was not a person's, by the carrier's verdict. In doubt it was."""
    return verdict.startswith("machine") or verdict == "fax"


def _minutes(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ValueError(f"{text!r} is no span of time: write 8:00-21:00")
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in found.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_minute > 59 or end_minute > 59 or end > 24 * 60 or start >= end:
        raise ValueError(f"{text!r} is no span of one day")
    return start, end
