"""Whom the agent may call: the rules, the book they are kept in, and placing a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.api import CallControl, CallOutcome, DialOrder, IncomingCall, MediaLeg
from agent.bootstrap import Application, build
from agent.calls.context import CallContext
from agent.calls.line import Line
from agent.calls.outbound import OutboundRequest
from agent.calls.outbound_rules import (
    AttemptLimitError,
    BadNumberError,
    DoNotCallError,
    NoConsentError,
    NotAllowedOutError,
    OutboundRules,
    QuietHoursError,
    number_hash,
)
from agent.demo import DEMO_LINES
from agent.errors import CarrierError, ConfigurationError
from agent.settings import load_settings
from agent.store.dialling import Attempt, DiallingBook
from agent.store.engine import Database
from tests.agent.conftest import ManualClock
from tests.agent.test_front_desk import Control, Leg, Runner

pytestmark = pytest.mark.integration

RULES = {"greeting": "This is Brightside Dental.", "time_zone": "America/New_York"}
WISH = OutboundRequest("+15550100", "+15550123", consent="form 7", purpose="reminder")
NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
"""Noon in New York."""
HASH = number_hash("+15550123")


@dataclass
class Phones:
    """A carrier that notes whom it was told to call."""

    name: str = "twilio"
    orders: list[DialOrder] = field(default_factory=list)
    refuses: bool = False

    async def dial(self, order: DialOrder) -> str:
        if self.refuses:
            raise CarrierError("no")
        self.orders.append(order)
        return f"CA-out-{id(self)}-{len(self.orders)}"


@pytest.fixture
def phones() -> Phones:
    return Phones()


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
async def app(
    redis_url: str, tmp_path: Path, runner: Runner, clock: ManualClock, phones: Phones
) -> AsyncIterator[Application]:
    document = yaml.safe_load(DEMO_LINES.read_text())
    document["lines"][0]["outbound"] = RULES
    lines = tmp_path / "lines.yaml"
    lines.write_text(yaml.safe_dump(document))
    settings = load_settings(
        profile="test", data_dir=tmp_path, redis_url=redis_url, lines_file=lines
    )
    clock.advance((NOON - clock.now()).total_seconds())
    async with build(settings, runner=runner, dialler=phones, clock=clock) as app:
        yield app


async def kinds(app: Application, call_id: str) -> dict[str, Any]:
    await app.shipper.drain()
    record = await app.calls.get_call(call_id)
    assert record is not None
    return {event.kind: event.payload for event in record.events}


async def test_a_call_is_placed_and_logged_with_the_consent(
    app: Application, phones: Phones
) -> None:
    placed = await app.outbound.place(WISH)
    (order,) = phones.orders
    assert (order.from_number, order.to_number) == ("+15550100", "+15550123")
    events = await kinds(app, placed.call_id)
    assert events["call_admitted"]["direction"] == "outbound"
    assert events["call_admitted"]["to"] == "+15550100", "our side"
    assert events["consent"] == {
        "about": "outbound_call",
        "reference": "form 7",
        "number_hash": HASH,
        "line": "+15550100",
        "purpose": "reminder",
    }
    again = await app.outbound.place(replace(WISH, consent=""))
    assert (await kinds(app, again.call_id))["consent"]["reference"] == "form 7", "on record"


async def test_a_call_nobody_takes_ends_in_the_log(app: Application, phones: Phones) -> None:
    placed = await app.outbound.place(WISH)
    await app.desk.ended("twilio", f"CA-out-{id(phones)}-1", "no-answer")
    await app.shipper.drain()
    record = await app.calls.get_call(placed.call_id)
    assert record is not None
    assert (record.call.state, record.call.end_reason) == ("ended", "no-answer")


@pytest.mark.parametrize(
    ("wish", "refusal"),
    [
        (replace(WISH, consent=" "), NoConsentError),
        (replace(WISH, to="0555123"), BadNumberError),
        (replace(WISH, line="+15550101"), NotAllowedOutError),
        (replace(WISH, time_zone="Asia/Tokyo"), QuietHoursError),
        (replace(WISH, time_zone="Mars/Olympus"), ConfigurationError),
    ],
)
async def test_a_call_that_must_not_be_placed_is_not(
    app: Application, phones: Phones, wish: OutboundRequest, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await app.outbound.place(wish)
    assert phones.orders == []


async def test_nobody_is_called_more_often_than_the_line_allows(
    app: Application, phones: Phones, clock: ManualClock
) -> None:
    for _ in range(2):
        await app.outbound.place(WISH)
    with pytest.raises(AttemptLimitError, match="2 times today"):
        await app.outbound.place(WISH)
    await app.outbound.place(replace(WISH, to="+15550124"))
    clock.advance(24 * 3600)
    await app.outbound.place(WISH)
    assert len(phones.orders) == 4


async def test_a_person_who_says_so_is_never_called_again(
    app: Application, phones: Phones, runner: Runner
) -> None:
    placed = await app.outbound.place(WISH)
    call = IncomingCall("twilio", f"CA-out-{id(phones)}-1", "+15550100", "+15550123", "outbound")

    async def asks(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        context.journal.record("do_not_call", {"number_hash": HASH, "at_ms": 5}, durable=True)
        return "agent_ended"

    runner.talk = asks
    admission = await app.desk.admit(call)
    assert admission.call_id == placed.call_id
    await app.desk.claim(admission.token, call.carrier_call_id)
    await app.desk.serve(placed.call_id, Leg(), Control())
    await app.shipper.drain()
    with pytest.raises(DoNotCallError):
        await app.outbound.place(WISH)
    assert len(phones.orders) == 1


async def test_a_carrier_that_refuses_is_told(app: Application, phones: Phones) -> None:
    phones.refuses = True
    with pytest.raises(CarrierError):
        await app.outbound.place(WISH)


async def test_an_agent_without_a_carrier_calls_nobody(
    redis_url: str, tmp_path: Path, runner: Runner
) -> None:
    settings = load_settings(
        profile="test", data_dir=tmp_path, redis_url=redis_url, lines_file=DEMO_LINES
    )
    async with build(settings, runner=runner) as app:
        with pytest.raises(ConfigurationError):
            await app.outbound.place(WISH)


async def test_a_machine_that_answers_is_hung_up_on(
    app: Application, phones: Phones, runner: Runner
) -> None:
    """By whoever talks to it; by the carrier when nobody does."""
    runner.talk = runner.until_closed
    placed = await app.outbound.place(WISH)
    sid = f"CA-out-{id(phones)}-1"
    assert await app.desk.answered_by("twilio", sid, "machine_start")
    assert not await app.desk.answered_by("twilio", sid, "human")
    call = IncomingCall("twilio", sid, "+15550100", "+15550123", "outbound")
    admission = await app.desk.admit(call)
    await app.desk.claim(admission.token, sid)
    intents: list[CallContext] = []

    async def talk(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        intents.append(context)
        await context.intents.changed.wait()
        return "agent_ended"

    runner.talk = talk
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(app.desk.serve(placed.call_id, Leg(), Control()))
        while not intents:  # noqa: ASYNC110 - it begins in its own time
            await asyncio.sleep(0.01)
        assert not await app.desk.answered_by("twilio", sid, "machine_start")
    assert intents[0].intents.hang_up
    assert (await kinds(app, placed.call_id))["answered_by"] == {"verdict": "machine_start"}


async def test_two_who_ask_at_once_share_the_limit(database: Database) -> None:
    book = DiallingBook(database)
    attempt = Attempt(HASH, "+15550100", date(2026, 3, 2), NOON, "", "form 7")
    numbers = await asyncio.gather(*[book.begin(attempt, 2) for _ in range(6)])
    assert sum(number is not None for number in numbers) <= 2


async def test_the_list_takes_a_number_once_and_lets_it_go(database: Database) -> None:
    book = DiallingBook(database)
    assert not await book.is_listed(HASH)
    await book.list_number(HASH, NOON, "asked")
    await book.list_number(HASH, NOON, "asked again")
    assert await book.is_listed(HASH)
    assert await book.unlist_number(HASH)
    assert not await book.unlist_number(HASH)


@pytest.mark.parametrize(
    ("local", "allowed"), [("07:59", False), ("08:00", True), ("20:59", True), ("21:00", False)]
)
def test_people_are_called_from_eight_to_nine(local: str, allowed: bool) -> None:
    hour, minute = local.split(":")
    rules = OutboundRules(greeting="Hello.", time_zone="UTC")
    assert rules.allows(datetime(2026, 3, 2, int(hour), int(minute), tzinfo=UTC)) is allowed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hours": "8-21"}, "8:00-21:00"),
        ({"time_zone": "Mars/Olympus"}, "Europe/London"),
        ({"answering_machine": "leave_message"}, "needs a message"),
        ({"time_zone": ""}, "needs a time_zone"),
    ],
)
def test_wrong_rules_are_named(change: dict[str, str], says: str, line: Line) -> None:
    wrong: Callable[[], Line] = lambda: Line.model_validate(  # noqa: E731 - one use
        line.model_dump() | {"outbound": RULES | change}
    )
    with pytest.raises(ValueError, match=says):
        wrong()
