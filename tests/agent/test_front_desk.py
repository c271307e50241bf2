from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from redis.asyncio import Redis

from agent.api import CallControl, CallOutcome, IncomingCall, LegEvent, MediaLeg, NextStep
from agent.audio import TELEPHONE
from agent.bootstrap import Application, build
from agent.calls.call import call_id_for
from agent.calls.context import CallContext
from agent.calls.lines_file import read_lines
from agent.calls.memory import Entry
from agent.calls.repository import CallRecord
from agent.demo import DEMO_LINES
from agent.errors import (
    AfterHoursError,
    CallEndedError,
    CapacityError,
    CarrierError,
    DatabaseAwayError,
    LineNotFoundError,
    SessionStoreError,
    TokenRejectedError,
)
from agent.session.lease import Leases
from agent.settings import Settings, load_settings
from agent.supervisor.access import Actor
from agent.tools.registry import ToolRegistry
from agent.tools.tool import tool
from tests.agent.conftest import ManualClock, Until
from tests.stores import RedisServer, Stores, running_redis, valkey_binary

pytestmark = pytest.mark.integration

CALL = IncomingCall("twilio", "CA1", "+15550100", "+15550123")

Talk = Callable[[CallContext, MediaLeg, CallControl], Awaitable[CallOutcome]]


class Runner:
    """Runs what a test gives it in place of a conversation."""

    def __init__(self) -> None:
        self.talk: Talk = self.agent_ends
        self.talking = asyncio.Event()

    async def run(self, context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        self.talking.set()
        return await self.talk(context, leg, control)

    @staticmethod
    async def agent_ends(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        utterance = {"role": "caller", "pii_text": "hi", "start_ms": 0, "end_ms": 300}
        context.journal.record("utterance", utterance)
        await control.hang_up()
        return "agent_ended"

    @staticmethod
    async def until_closed(
        context: CallContext, leg: MediaLeg, control: CallControl
    ) -> CallOutcome:
        async for _ in leg.events():
            pass
        return "caller_hung_up"


class Leg:
    audio = TELEPHONE

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def events(self) -> AsyncIterator[LegEvent]:
        await self.closed.wait()
        for nothing in ():
            yield nothing

    async def send_audio(self, payload: bytes) -> None: ...
    async def send_mark(self, name: str) -> None: ...
    async def clear(self) -> None: ...

    async def close(self) -> None:
        self.closed.set()


class Control:
    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.did: list[str] = []

    async def hang_up(self) -> None:
        self.did.append("hang_up")

    async def transfer(self, target: str) -> None:
        if self.refuses:
            raise CarrierError("no")
        self.did.append(f"transfer {target}")


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
async def app(stores: Stores, tmp_path: Path, runner: Runner) -> AsyncIterator[Application]:
    settings = load_settings(
        profile="test",
        data_dir=tmp_path,
        redis_url=stores.redis_url,
        database_url=stores.database_url,
        lines_file=open_lines(tmp_path),
        max_calls=2,
    )
    async with build(settings, runner=runner) as app:
        yield app


@pytest.fixture
def call(request: pytest.FixtureRequest) -> IncomingCall:
    return replace(CALL, carrier_call_id=f"CA-{request.node.nodeid}")


async def open_call(app: Application, call: IncomingCall) -> str:
    admission = await app.desk.admit(call)
    return await app.desk.claim(admission.token, call.carrier_call_id)


async def logged(app: Application, call_id: str) -> CallRecord:
    await app.shipper.drain()
    record = await app.calls.get_call(call_id)
    assert record is not None
    return record


def states(record: CallRecord) -> list[str]:
    return [event.payload["state"] for event in record.events if event.kind == "call_state"]


def open_lines(tmp_path: Path) -> Path:
    """The demonstration's lines, both answered at any hour, the second without a recording."""
    document = yaml.safe_load(DEMO_LINES.read_text())
    document["lines"][1] |= {"after_hours": "answer", "recording": False}
    path = tmp_path / "open.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def closed_lines(tmp_path: Path) -> Path:
    """The demonstration's lines, the first of them open one minute a week."""
    document = yaml.safe_load(DEMO_LINES.read_text())
    document["lines"][0] |= {
        "hours": {"time_zone": "UTC", "open": {"mon": "0:00-0:01"}, "closed_on": []},
        "after_hours": "say",
        "after_hours_text": "We open on Monday.",
    }
    path = tmp_path / "lines.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_call_when_the_line_is_closed_is_told_so_and_logged_and_takes_no_place(
    redis_url: str, tmp_path: Path, runner: Runner, call: IncomingCall, clock: ManualClock
):
    settings = load_settings(
        profile="test", data_dir=tmp_path, redis_url=redis_url, lines_file=closed_lines(tmp_path)
    )
    clock.advance(24 * 3600)
    async with build(settings, runner=runner, clock=clock) as app:
        for _ in range(2):  # the carrier may ask again
            with pytest.raises(AfterHoursError, match="We open on Monday"):
                await app.desk.admit(call)
        assert app.desk.slots.in_use == 0
        await app.desk.ended(call.carrier, call.carrier_call_id, "completed")
        record = await logged(app, call_id_for(call.carrier, call.carrier_call_id))
    assert (record.call.state, record.call.end_reason) == ("ended", "after_hours")
    assert [event.kind for event in record.events].count("call_admitted") == 1


async def test_an_outbound_call_is_not_turned_away(
    redis_url: str, tmp_path: Path, runner: Runner, call: IncomingCall, clock: ManualClock
):
    settings = load_settings(
        profile="test", data_dir=tmp_path, redis_url=redis_url, lines_file=closed_lines(tmp_path)
    )
    clock.advance(24 * 3600)
    async with build(settings, runner=runner, clock=clock) as app:
        assert await app.desk.admit(replace(call, direction="outbound"))


async def test_a_caller_whom_nobody_took_is_served_again_and_the_agent_knows(
    app: Application, runner: Runner, call: IncomingCall
):
    seen: list[CallContext] = []

    async def hand_over(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        seen.append(context)
        if len(seen) == 1:
            await control.transfer("+15550199")
            return "transferred"
        return "agent_ended"

    runner.talk = hand_over
    call_id = await open_call(app, call)
    await app.desk.serve(call_id, Leg(), Control())
    about = (call.carrier, call.carrier_call_id)
    assert await app.desk.next_step(*about) == NextStep("hang_up"), "unless told otherwise"
    assert await app.desk.next_step(*about, dialled="no-answer") == NextStep("reconnect")
    assert await app.desk.next_step(*about, dialled="no-answer") == NextStep("reconnect")
    await app.desk.serve(await open_call(app, call), Leg(), Control())
    assert [context.dialled for context in seen] == ["", "no-answer"]
    record = await logged(app, call_id)
    assert (record.call.state, record.call.end_reason) == ("ended", "agent_ended")
    assert "transfer_failed" in [event.kind for event in record.events]


async def test_a_call_that_has_ended_for_good_is_not_admitted_again(
    app: Application, call: IncomingCall
):
    call_id = await open_call(app, call)
    await app.desk.serve(call_id, Leg(), Control())
    with pytest.raises(CallEndedError):
        await app.desk.admit(call)
    assert app.desk.slots.in_use == 0


async def test_a_call_from_admission_to_the_log(app: Application, call: IncomingCall):
    call_id = await open_call(app, call)
    control = Control()
    assert await app.desk.serve(call_id, Leg(), control) == "agent_ended"
    assert control.did == ["hang_up"]
    record = await logged(app, call_id)
    assert (record.call.state, record.call.end_reason) == ("ended", "agent_ended")
    assert record.call.pii_from_number == call.from_number
    assert [each.pii_text for each in record.utterances] == ["hi"]
    assert states(record) == ["admitted", "connected", "in_progress", "ended"]
    assert record.line is not None
    assert record.line.snapshot["business"] == "Brightside Dental"
    assert [each.id for each in await app.calls.list_calls()] == [call_id]
    assert await app.desk.next_step("twilio", call.carrier_call_id) == NextStep("hang_up")


async def test_the_runner_gets_the_line_its_tools_and_a_recording_path(
    app: Application, call: IncomingCall, runner: Runner, tmp_path: Path
):
    seen: list[CallContext] = []

    async def look(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        seen.append(context)
        return "caller_hung_up"

    runner.talk = look
    await app.desk.serve(await open_call(app, call), Leg(), Control())
    bikes = replace(call, to_number="+15550101", carrier_call_id="bikes")
    await app.desk.serve(await open_call(app, bikes), Leg(), Control())
    dental, shop = seen
    assert [spec["name"] for spec in shop.tools.specs()] == ["lookup_order", "end_call"]
    assert dental.recording_path is not None
    assert dental.recording_path.is_relative_to(tmp_path / "recordings")
    assert shop.recording_path is None
    assert dental.caller_number == "+15550123"


async def test_an_unknown_line_is_refused(app: Application, call: IncomingCall):
    with pytest.raises(LineNotFoundError):
        await app.desk.admit(replace(call, to_number="+15557777"))


async def test_the_same_carrier_call_is_one_call_with_two_tokens(
    app: Application, call: IncomingCall
):
    first, second = await app.desk.admit(call), await app.desk.admit(call)
    assert first.call_id == second.call_id
    assert first.token != second.token
    record = await logged(app, first.call_id)
    assert [event.kind for event in record.events] == ["call_admitted", "call_state"]


async def test_calls_beyond_capacity_are_refused_until_one_ends(
    app: Application, call: IncomingCall
):
    ids = [await open_call(app, replace(call, carrier_call_id=f"cap{n}")) for n in range(2)]
    third = replace(call, carrier_call_id="cap2")
    with pytest.raises(CapacityError):
        await app.desk.admit(third)
    await app.desk.serve(ids[0], Leg(), Control())
    assert await app.desk.admit(third)
    await app.desk.ended("twilio", "cap1", "no-answer")
    assert app.desk.slots.in_use == 1


async def test_a_token_is_for_its_own_call(app: Application, call: IncomingCall):
    admission = await app.desk.admit(call)
    with pytest.raises(TokenRejectedError):
        await app.desk.claim(admission.token, "CA-other")


async def test_a_crash_fails_one_call_and_frees_its_slot(
    app: Application, call: IncomingCall, runner: Runner
):
    async def crash(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        raise RuntimeError("broken")

    runner.talk = crash
    call_id = await open_call(app, call)
    assert await app.desk.serve(call_id, Leg(), Control()) == "failed"
    assert app.desk.slots.in_use == 0
    assert not await app.desk.leases.is_held(call_id)
    assert (await logged(app, call_id)).call.end_reason == "failed"
    about = ("twilio", call.carrier_call_id)
    assert await app.desk.next_step(*about) == NextStep("dial", "+15550199")
    assert await app.desk.next_step(*about, dialled="busy") == NextStep("apologise")


async def test_a_stopped_worker_leaves_the_call_to_be_taken_up(
    app: Application, call: IncomingCall, runner: Runner
):
    runner.talk = runner.until_closed
    call_id = await open_call(app, call)
    serving = asyncio.get_running_loop().create_task(app.desk.serve(call_id, Leg(), Control()))
    await runner.talking.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert (await logged(app, call_id)).call.end_reason == "worker_stopped"
    assert await app.desk.next_step("twilio", call.carrier_call_id) == NextStep("reconnect")
    runner.talk = runner.agent_ends
    assert await app.desk.serve(await open_call(app, call), Leg(), Control()) == "agent_ended"
    record = await logged(app, call_id)
    assert (record.call.attempt, record.call.end_reason) == (2, "agent_ended")


async def test_the_next_worker_knows_what_was_said(
    app: Application, call: IncomingCall, runner: Runner
):
    said = (Entry("i1", "agent", "Hello."), Entry("i2", "caller", "when do you open"))
    seen: list[CallContext] = []

    async def break_off(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        seen.append(context)
        context.memory.keep(said)
        assert await context.memory.kept()
        return "caller_hung_up"

    runner.talk = break_off
    for _ in range(2):
        await app.desk.serve(await open_call(app, call), Leg(), Control())
    first, second = seen
    assert (first.earlier, first.resumed) == ((), False)
    assert (second.earlier, second.resumed) == (said, True)
    first.memory.keep(said[:1])
    assert not await first.memory.kept()


async def test_a_call_that_redis_has_lost_is_taken_up_from_the_log(
    app: Application, call: IncomingCall, runner: Runner, stores: Stores
):
    seen: list[CallContext] = []

    async def break_off(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        seen.append(context)
        said = {"role": "agent", "pii_text": "Hello.", "pii_heard": "Hello."}
        context.journal.record("utterance", {**said, "start_ms": 0, "end_ms": 9})
        return "caller_hung_up"

    runner.talk = break_off
    call_id = await open_call(app, call)
    await app.desk.serve(call_id, Leg(), Control())
    await app.shipper.drain()
    async with Redis.from_url(stores.redis_url) as redis:
        await redis.flushall()
    assert await app.desk.next_step("twilio", call.carrier_call_id) == NextStep("reconnect")
    await app.desk.serve(await open_call(app, call), Leg(), Control())
    first, second = seen
    assert second.line == first.line
    assert [entry.text for entry in second.earlier] == ["Hello."]
    assert (await logged(app, call_id)).call.attempt == 2


async def test_a_worker_that_lost_its_call_leaves_the_caller_alone(
    app: Application, call: IncomingCall, runner: Runner
):
    refused: list[CarrierError] = []

    async def act_late(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        await app.desk.leases.take(context.call_id)
        for act in (control.hang_up(), control.transfer("+15550199")):
            with pytest.raises(CarrierError) as error:
                await act
            refused.append(error.value)
        return "agent_ended"

    runner.talk = act_late
    call_id = await open_call(app, call)
    control = Control()
    assert await app.desk.serve(call_id, Leg(), control) == "failed"
    assert (len(refused), control.did) == (2, [])
    assert states(await logged(app, call_id)) == ["admitted", "connected", "in_progress"]


async def test_the_carriers_end_closes_the_stream(
    app: Application, call: IncomingCall, runner: Runner
):
    runner.talk = runner.until_closed
    call_id = await open_call(app, call)
    leg = Leg()
    serving = asyncio.get_running_loop().create_task(app.desk.serve(call_id, leg, Control()))
    await runner.talking.wait()
    await app.desk.ended("twilio", call.carrier_call_id, "completed")
    assert await serving == "caller_hung_up"
    record = await logged(app, call_id)
    assert "carrier_report" in [event.kind for event in record.events]
    assert record.call.end_reason == "caller_hung_up"


async def test_a_call_that_never_connected_is_ended_by_the_carrier(
    app: Application, call: IncomingCall
):
    admission = await app.desk.admit(call)
    await app.desk.ended("twilio", call.carrier_call_id, "no-answer")
    await app.desk.ended("twilio", call.carrier_call_id, "no-answer")
    record = await logged(app, admission.call_id)
    assert (record.call.state, record.call.end_reason) == ("ended", "no-answer")
    assert states(record) == ["admitted", "ended"]


async def test_the_end_of_an_unknown_call_is_nothing(app: Application):
    await app.desk.ended("twilio", "CA-never", "completed")
    assert await app.desk.next_step("twilio", "CA-never") == NextStep("hang_up")


async def test_a_worker_that_lost_its_call_stops_and_writes_no_end(
    app: Application, call: IncomingCall, runner: Runner, monkeypatch: pytest.MonkeyPatch
):
    runner.talk = runner.until_closed
    monkeypatch.setattr(app.desk.leases, "renew_every_s", 0.05)
    call_id = await open_call(app, call)
    serving = asyncio.get_running_loop().create_task(app.desk.serve(call_id, Leg(), Control()))
    await runner.talking.wait()
    other: Leases = app.desk.leases
    taken = await other.take(call_id)
    assert await serving == "failed"
    assert states(await logged(app, call_id)) == ["admitted", "connected", "in_progress"]
    assert await other.renew(taken)


async def test_a_transfer_moves_the_call(app: Application, call: IncomingCall, runner: Runner):
    async def hand_over(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        await control.transfer("+15550199")
        return "transferred"

    runner.talk = hand_over
    call_id = await open_call(app, call)
    control = Control()
    assert await app.desk.serve(call_id, Leg(), control) == "transferred"
    assert control.did == ["transfer +15550199"]
    assert states(await logged(app, call_id))[-2:] == ["transferring", "ended"]


async def test_a_transfer_the_carrier_refused_is_made_by_the_next_step(
    app: Application, call: IncomingCall, runner: Runner
):
    async def hand_over(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        await context.tools.run("transfer_to_human", '{"reason": "bill"}', "t1")
        try:
            await control.transfer(context.intents.transfer_to)
        except CarrierError:
            return "failed"
        return "transferred"

    runner.talk = hand_over
    call_id = await open_call(app, call)
    await app.desk.serve(call_id, Leg(), Control(refuses=True))
    record = await logged(app, call_id)
    assert states(record)[-3:] == ["transferring", "in_progress", "ended"]
    assert [each.status for each in record.tools] == ["ok"]
    step = await app.desk.next_step("twilio", call.carrier_call_id)
    assert step == NextStep("dial", "+15550199")


async def test_everything_is_seen_live(app: Application, call: IncomingCall, until):
    call_id = await open_call(app, call)
    await app.desk.serve(call_id, Leg(), Control())

    async def ended() -> bool:
        events = await app.live.read(call_id)
        return bool(events) and events[-1].payload.get("state") == "ended"

    await until(ended)
    kinds = [event.kind for event in await app.live.read(call_id)]
    assert kinds == ["call_admitted", *["call_state"] * 3, "utterance", "call_state"]


async def test_the_whole_application_on_its_own_parts(tmp_path: Path, runner: Runner):
    settings = load_settings(profile="test", data_dir=tmp_path / "var", lines_file=DEMO_LINES)
    async with build(settings, runner=runner) as app:
        call_id = await open_call(app, CALL)
        await app.desk.serve(call_id, Leg(), Control())
    async with build(settings, runner=runner) as app:
        record = await app.calls.get_call(call_id)
    assert record is not None
    assert record.call.end_reason == "agent_ended"


async def test_a_restart_without_the_database_answers_and_loses_nothing(
    tmp_path: Path, redis_url: str, runner: Runner
):
    given = {"profile": "test", "data_dir": tmp_path, "redis_url": redis_url, "lines_file": None}
    there = load_settings(**given)
    away = "postgresql://u@127.0.0.1:1/none?connect_timeout=2"
    without = load_settings(**given, database_url=away)
    with pytest.raises(DatabaseAwayError, match="cannot be reached"):
        async with build(without, runner=runner):
            pass
    async with build(there, runner=runner) as app:
        await app.catalog.apply(read_lines(open_lines(tmp_path)), by="ann")
    async with build(there, runner=runner):
        pass
    call = replace(CALL, carrier_call_id="CA-away")
    async with build(without, runner=runner) as app:
        call_id = await open_call(app, call)
        assert await app.desk.serve(call_id, Leg(), Control()) == "agent_ended"
    async with build(there, runner=runner) as app:
        assert states(await logged(app, call_id))[-1] == "ended"


async def test_a_tool_with_an_effect_outlives_the_call_and_its_result_is_in_the_log(
    tmp_path: Path, runner: Runner
):
    path = tmp_path / "lines.yaml"
    path.write_text('lines: [{number: "+15550100", business: B, greeting: Hi, tools: [book]}]\n')
    settings = load_settings(profile="test", data_dir=tmp_path / "var", lines_file=path)
    entered, may_go_on = asyncio.Event(), asyncio.Event()

    @tool(effect="once")
    async def book() -> str:
        """Book."""
        entered.set()
        await may_go_on.wait()
        return "booked"

    async def hangs_up(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(context.tools.run("book", "{}", "t1"))
            await entered.wait()
            running.cancel()
        return "caller_hung_up"

    runner.talk = hangs_up
    async with build(settings, runner=runner, registry=ToolRegistry([book])) as app:
        call_id = await open_call(app, CALL)
        assert await app.desk.serve(call_id, Leg(), Control()) == "caller_hung_up"
        asyncio.get_running_loop().call_later(0.1, may_go_on.set)
    async with build(settings, runner=runner, registry=ToolRegistry([book])) as app:
        record = await app.calls.get_call(call_id)
    assert record is not None
    assert [(row.tool, row.status, row.pii_result) for row in record.tools] == [
        ("book", "ok", '"booked"')
    ]


async def test_a_line_with_a_tool_that_is_not_there_is_answered_without_it(
    tmp_path: Path, runner: Runner
):
    path = tmp_path / "lines.yaml"
    tools = "[juggle, end_call]"
    path.write_text(
        f'lines: [{{number: "+15550100", business: B, greeting: Hi, tools: {tools}}}]\n'
    )
    settings = load_settings(profile="test", data_dir=tmp_path, lines_file=path)
    offered: list[str] = []

    async def talk(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        offered.extend(spec["name"] for spec in context.tools.specs())
        return "agent_ended"

    runner.talk = talk
    async with build(settings, runner=runner) as app:
        call_id = await open_call(app, CALL)
        await app.desk.serve(call_id, Leg(), Control())
    assert offered == ["end_call"]


async def test_a_running_call_outlives_redis_and_new_ones_are_refused(
    tmp_path: Path, runner: Runner
):
    runner.talk = runner.until_closed
    with running_redis(tmp_path / "redis", valkey_binary()) as redis:
        settings = load_settings(
            profile="test", data_dir=tmp_path, lines_file=DEMO_LINES, redis_url=redis.url
        )
        await _outlive(redis, settings, runner)


async def _outlive(redis: RedisServer, settings: Settings, runner: Runner) -> None:
    async with build(settings, runner=runner) as app:
        call_id = await open_call(app, CALL)
        leg = Leg()
        serving = asyncio.get_running_loop().create_task(app.desk.serve(call_id, leg, Control()))
        await runner.talking.wait()
        redis.kill()
        with pytest.raises(SessionStoreError):
            await app.desk.admit(replace(CALL, carrier_call_id="CA2"))
        assert await app.desk.serve("c" * 32, Leg(), Control()) == "failed"
        await leg.close()
        assert await serving == "caller_hung_up"
        assert await app.desk.next_step("twilio", "CA1") == NextStep("apologise")
        await app.desk.ended("twilio", "CA1", "completed")
        record = await logged(app, call_id)
        assert app.desk.slots.in_use == 0
    assert record.call.end_reason == "caller_hung_up"


async def test_calls_are_listed_newest_first_by_line_and_page(app: Application):
    numbers = ["+15550100", "+15550101", "+15550100"]
    for count, number in enumerate(numbers):
        call = replace(CALL, carrier_call_id=f"page{count}", to_number=number)
        await app.desk.serve(await open_call(app, call), Leg(), Control())
    await app.shipper.drain()
    newest = await app.calls.list_calls(limit=2)
    assert [each.carrier_call_id for each in newest] == ["page2", "page1"]
    older = await app.calls.list_calls(before=newest[-1].started_at)
    assert [each.carrier_call_id for each in older] == ["page0"]
    bikes = await app.calls.list_calls(number="+15550101")
    assert [each.carrier_call_id for each in bikes] == ["page1"]
    assert await app.calls.get_call("none") is None


async def test_a_served_call_is_followed_by_supervisors_from_its_first_words_to_its_end(
    app: Application, runner: Runner, call: IncomingCall, until: Until
):
    async def talk(context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        words = {"role": "agent", "item_id": "i", "pii_text": "Hello", "final": False}
        context.journal.show("caption", words)
        return await runner.until_closed(context, leg, control)

    runner.talk = talk
    viewer = Actor("user", "u", "Vera", "viewer")
    live, leg = app.supervisors.live, Leg()
    call_id = await open_call(app, call)

    async def listed() -> bool:
        return call_id in [each.call_id for each in await live.list(viewer)]

    async def over() -> bool:
        return not await listed()

    kinds: list[str] = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(app.desk.serve(call_id, leg, Control()))
        await until(listed)
        (running,) = await live.list(viewer)
        assert (running.last_role, running.last_text) == ("agent", "Hello")
        async for event in live.follow(viewer, call_id):
            kinds.append(event.kind)
            if event.kind == "caption":
                await leg.close()
    assert kinds[0] == "call_admitted"
    assert kinds[-2:] == ["caption", "call_state"]
    await until(over)
    record = await logged(app, call_id)
    assert "caption" not in [event.kind for event in record.events]
