"""The connector behind a carrier that does everything wrong that carriers do."""

from __future__ import annotations

from collections import deque

import pytest

from agent.api import DialOrder, MediaFrame, NextStep
from agent.errors import CarrierError
from connectors.twilio.dialler import TwilioDialler
from connectors.twilio.twin import Callee, HangUp, Pause, Press, WaitForAgent, WaitForEnd
from tests.connectors.desk import HUMAN, LINE, EchoDesk, agent_and_twin, quiet, with_limits
from tests.pipeline.phone import until

pytestmark = pytest.mark.end_to_end

GREETING = WaitForAgent(silence_ms=200, limit_s=10)
AGAIN = (GREETING, HangUp())


async def test_a_voice_webhook_asked_again_is_the_same_call() -> None:
    """The first answer got lost; its token dies unused."""
    async with agent_and_twin(retries="#rc=2&rp=rt") as agent:
        agent.twin.faults.lost_answers = 1
        call = await agent.twin.place_call(to=LINE, script=[GREETING, HangUp()])
        await call.wait_ended(20)
    assert [each.carrier_call_id for each in agent.desk.admitted] == [call.sid] * 2
    assert agent.desk.outcomes == ["caller_hung_up"]
    assert not call.timeline.errors()


async def test_a_lost_answer_about_what_is_next_changes_nothing() -> None:
    desk = EchoDesk(steps=[NextStep("reconnect"), NextStep("reconnect")])
    async with agent_and_twin(desk) as agent:
        call = await agent.twin.place_call(to=LINE, script=[GREETING, Press("5"), *AGAIN])
        await until(lambda: agent.desk.marks == ["greeted"])
        agent.twin.faults.lost_answers = 1
        await call.wait_ended(20)
    assert desk.steps == [], "asked twice"
    assert agent.desk.outcomes == ["agent_ended", "caller_hung_up"]


@pytest.mark.parametrize(("order", "copies"), [("reversed", 1), ("in_order", 3)])
async def test_reports_twice_or_in_the_wrong_order_only_tell_of_the_end(
    order: str, copies: int
) -> None:
    events = frozenset({"initiated", "ringing", "answered", "completed"})
    async with agent_and_twin(status_events=events) as agent:
        agent.twin.faults.status_order = order  # type: ignore[assignment]
        agent.twin.faults.status_copies = copies
        call = await agent.twin.place_call(to=LINE, script=[GREETING, HangUp()])
        await call.wait_ended(20)
    assert agent.desk.endings == [(call.sid, "completed")] * copies


async def test_lost_and_late_frames_become_silence_of_the_same_length() -> None:
    async with agent_and_twin(EchoDesk(role=quiet)) as agent:
        agent.twin.faults.frames.loss = 0.1
        agent.twin.faults.frames.jitter = 5
        call = await agent.twin.place_call(to=LINE, script=[Pause(2000), HangUp()])
        await call.wait_ended(20)
    frames = [event for event in agent.desk.events if isinstance(event, MediaFrame)]
    ends = [frame.timestamp_ms + len(frame.payload) // 8 for frame in frames]
    starts = [frame.timestamp_ms for frame in frames]
    assert starts[1:] == ends[:-1], "no hole, no overlap"


async def test_messages_that_make_no_sense_do_not_end_a_call() -> None:
    async with agent_and_twin() as agent:
        agent.twin.faults.frames.bad = deque(
            ["not_json", "binary", "unknown_event", "wrong_stream", "bad_audio", "start"]
        )
        call = await agent.twin.place_call(to=LINE, script=[GREETING, HangUp()])
        await call.wait_ended(20)
    assert agent.desk.outcomes == ["caller_hung_up"]
    assert not call.gave_up


async def test_a_huge_message_ends_the_stream_and_the_call_goes_on() -> None:
    desk = EchoDesk(steps=[NextStep("reconnect")])
    async with agent_and_twin(desk) as agent:
        agent.twin.faults.frames.bad = deque(["oversize"])
        call = await agent.twin.place_call(to=LINE, script=[GREETING, HangUp()])
        await call.wait_ended(20)
    assert len([s for s in call.timeline.of("stream") if s["event"] == "started"]) == 2
    assert not call.gave_up


async def test_a_stream_that_is_half_open_is_left() -> None:
    desk = EchoDesk(role=quiet, steps=[NextStep("hang_up")])
    async with agent_and_twin(desk, config=with_limits(media_timeout_s=0.5)) as agent:
        call = await agent.twin.place_call(to=LINE, script=[WaitForEnd(limit_s=20)])
        await until(lambda: bool(agent.desk.frames))
        agent.twin.faults.frames.half_open = True
        await call.wait_ended(30)
    assert not call.gave_up
    assert agent.desk.outcomes == ["caller_hung_up"]


@pytest.mark.parametrize("statuses", [[429], [429, 429], [500]])
async def test_a_call_out_is_tried_again_only_when_nothing_has_happened(
    statuses: list[int],
) -> None:
    order = DialOrder(LINE, "+15550321", ring_s=5, longest_s=60)
    async with agent_and_twin() as agent:
        agent.twin.set_callee("+15550321", Callee(policy="busy", ring_s=0.0))
        agent.twin.faults.rest = deque(statuses)
        dialler = TwilioDialler(agent.config)
        try:
            if statuses == [429]:
                sid = await dialler.dial(order)
                (call,) = agent.twin.calls
                await call.wait_ended(20)
                assert agent.desk.endings == [(sid, "busy")]
            else:
                with pytest.raises(CarrierError):
                    await dialler.dial(order)
                assert agent.twin.calls == []
        finally:
            await dialler.aclose()


async def test_a_machine_nobody_talks_to_is_hung_up_on_by_the_carrier() -> None:
    order = DialOrder(LINE, "+15550321", ring_s=5, longest_s=60)
    async with agent_and_twin(EchoDesk(role=quiet)) as agent:
        machine = Callee(ring_s=0.0, answered_by="machine_start", verdict_s=0.3)
        agent.twin.set_callee("+15550321", machine)
        dialler = TwilioDialler(agent.config)
        sid = await dialler.dial(order)
        (call,) = agent.twin.calls
        await call.wait_ended(20)
        await dialler.aclose()
    assert agent.desk.verdicts == [(sid, "machine_start")]
    assert call.timeline.of("update")[0]["status"] == "completed"
    assert not call.gave_up


async def test_hanging_up_is_tried_again_when_the_carrier_stumbles() -> None:
    async with agent_and_twin() as agent:
        agent.twin.faults.rest = deque([500])
        call = await agent.twin.place_call(to=LINE, script=[GREETING, Press("9"), WaitForEnd()])
        await call.wait_ended(20)
    assert not call.gave_up
    assert HUMAN not in str(call.timeline.of("dial"))
