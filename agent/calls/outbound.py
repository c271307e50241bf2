"""Calls the agent places: checked against the rules, noted, then dialled by a carrier."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from agent.api import Dialler, DialOrder, IncomingCall
from agent.calls.line import Line
from agent.calls.outbound_rules import (
    AttemptLimitError,
    DoNotCallError,
    NoConsentError,
    NotAllowedOutError,
    OutboundRules,
    check_hours,
    number_hash,
    require_number,
    zone,
)
from agent.calls.service import FrontDesk
from agent.errors import CarrierError, ConfigurationError, VitaError
from agent.log import bound_call, get_logger
from agent.store.dialling import Attempt, DiallingBook, DiallingBookError

log = get_logger(__name__)

BOOK_LIMIT_S = 5.0
RING_S = 30


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """A wish to call someone.

    Attributes:
        line: Number of the line that calls, E.164.
        to: Number to call, E.164.
        consent: What shows that the person agreed to be called, such as the id of a signed form;
            empty when an earlier call of the line to this number has one on record.
        purpose: Why, for the log.
        time_zone: Where the person lives, an IANA name; empty for the line's zone.
    """

    line: str
    to: str
    consent: str = ""
    purpose: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class OutboundCall:
    """A call that was placed; everything further is in the call log under `call_id`."""

    call_id: str
    state: Literal["placed"] = "placed"


class OutboundCalls:
    """Places calls for one carrier. None when no carrier can: every wish is refused then."""

    def __init__(self, desk: FrontDesk, book: DiallingBook, dialler: Dialler | None) -> None:
        self._desk = desk
        self._book = book
        self._dialler = dialler

    async def place(self, request: OutboundRequest) -> OutboundCall:
        """Call someone, if nothing speaks against it.

        Raises:
            LineNotFoundError: No line has this number.
            OutboundRefusedError: The rules forbid it; its subclasses say which one does:
                `BadNumberError`, `NotAllowedOutError`, `NoConsentError`, `DoNotCallError`,
                `QuietHoursError`, `AttemptLimitError`.
            DiallingBookError: The database does not answer.
            CarrierError: The carrier refused.
            ConfigurationError: No carrier can place calls here, or a zone does not exist.
            SessionStoreError: Redis is out of reach; the call was placed all the same.
        """
        if self._dialler is None:
            raise ConfigurationError("No carrier is configured that could place a call.")
        to, line = require_number(request.to), self._desk.lines.find(request.line)
        rules = _rules(line)
        day = check_hours(rules, self._desk.clock.now(), _zone(request, line, rules))
        hashed = number_hash(to)
        try:
            async with asyncio.timeout(BOOK_LIMIT_S):
                consent = await self._consent(request, line, hashed)
                attempt = Attempt(
                    hashed, line.entry, day, self._desk.clock.now(), request.purpose, consent
                )
                number = await self._book.begin(attempt, rules.attempts_per_day)
        except TimeoutError as error:
            raise DiallingBookError("The database does not answer: try again later.") from error
        if number is None:
            raise AttemptLimitError(
                f"This number was called {rules.attempts_per_day} times today: try again tomorrow."
            )
        return await self._dial(self._dialler, line, rules, attempt, number, to)

    async def _consent(self, request: OutboundRequest, line: Line, hashed: str) -> str:
        if await self._book.is_listed(hashed):
            raise DoNotCallError("This number is on the do-not-call list.")
        consent = request.consent.strip() or await self._book.consent_of(hashed, line.entry)
        if not consent:
            raise NoConsentError(
                "Nothing shows that this person agreed to be called: name their consent."
            )
        return consent

    async def _dial(  # noqa: PLR0917 - one call's facts
        self,
        dialler: Dialler,
        line: Line,
        rules: OutboundRules,
        attempt: Attempt,
        number: int,
        to: str,
    ) -> OutboundCall:
        order = DialOrder(
            from_number=line.number,
            to_number=to,
            ring_s=RING_S,
            longest_s=line.max_duration_s + 60,
            wait_for_tone=rules.answering_machine == "leave_message",
        )
        try:
            carrier_call_id = await dialler.dial(order)
        except CarrierError:
            await self._settle(number, "refused")
            raise
        call = IncomingCall(dialler.name, carrier_call_id, line.number, to, "outbound")
        call_id = await self._desk.expect(call, line)
        with bound_call(call_id):
            await self._settle(number, "placed", call_id)
            await self._record_consent(call_id, attempt)
            log.info("call_placed", line=line.entry, pii_to=to)
        return OutboundCall(call_id)

    async def _record_consent(self, call_id: str, attempt: Attempt) -> None:
        journal = self._desk.journals(call_id, await self._desk.leases.next_epoch(call_id))
        journal.record(
            "consent",
            {
                "about": "outbound_call",
                "reference": attempt.consent,
                "number_hash": attempt.number_hash,
                "line": attempt.line,
                "purpose": attempt.purpose,
            },
            durable=True,
        )

    async def _settle(self, number: int, state: str, call_id: str = "") -> None:
        """The call is placed or refused by now: a database that fails here changes nothing."""
        try:
            async with asyncio.timeout(BOOK_LIMIT_S):
                await self._book.settle(number, state, call_id)
        except (VitaError, TimeoutError) as error:
            log.warning("attempt_not_settled", state=state, reason=type(error).__name__)


def _rules(line: Line) -> OutboundRules:
    if line.outbound is None or not line.number:
        raise NotAllowedOutError(
            f"The line {line.entry} does not call out: give it a number and the key `outbound`."
        )
    return line.outbound


def _zone(request: OutboundRequest, line: Line, rules: OutboundRules) -> ZoneInfo:
    """A line that calls out has a zone, its own or that of its opening hours."""
    of_line = line.hours.time_zone if line.hours else ""
    try:
        return zone(request.time_zone or rules.time_zone or of_line)
    except ValueError as error:
        raise ConfigurationError(f"The person's time zone: {error}.") from error
