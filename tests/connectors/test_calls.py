"""Whole calls: twin, web server, sockets, desk."""

from __future__ import annotations

import numpy as np
import pytest

from agent import mulaw
from agent.api import NextStep
from connectors.twilio.twin import (
    Callee,
    HangUp,
    Pause,
    Press,
    Speak,
    TwinAccount,
    WaitForAgent,
    WaitForEnd,
)
from connectors.twilio.twin.audio import Pcm, tone
from tests.connectors.desk import HUMAN, LINE, EchoDesk, agent_and_twin

pytestmark = pytest.mark.end_to_end


def _loud_samples(pcm: Pcm) -> int:
    return int((np.abs(pcm.astype(int)) > 1000).sum())


GREETING = WaitForAgent(silence_ms=200, limit_s=10)


async def test_a_call_is_greeted_echoed_and_ended_by_the_caller() -> None:
    async with agent_and_twin() as agent:
        call = await agent.twin.place_call(
            to=LINE,
            from_="+15550123",
            script=[GREETING, Speak(tone(400)), Pause(1000), HangUp()],
        )
        await call.wait_ended(20)
    assert call.status == "completed"
    assert not call.timeline.errors()
    assert agent.desk.outcomes == ["caller_hung_up"]
    assert agent.desk.endings == [(call.sid, "completed")]
    (incoming,) = agent.desk.admitted
    assert (incoming.to_number, incoming.from_number) == (LINE, "+15550123")
    assert (incoming.carrier, incoming.direction) == ("twilio", "inbound")
    assert agent.desk.marks == ["greeted"]
    heard = call.heard
    assert heard.first_audio_ms is not None
    assert len(heard.answer_delays_ms) == 1, "the caller's tone came back"
    sent = mulaw.decode(mulaw.encode(tone(300)) + mulaw.encode(tone(400)))
    assert _loud_samples(heard.agent) == _loud_samples(sent), "all of it was heard, once"


@pytest.mark.parametrize("signing", ["auth_token", "shared_key"])
async def test_both_ways_of_signing_open_the_door(signing: str) -> None:
    account = TwinAccount.fresh(signing)  # type: ignore[arg-type]
    async with agent_and_twin(account=account) as agent:
        call = await agent.twin.place_call(to=LINE, script=[GREETING, HangUp()])
        await call.wait_ended(20)
    assert agent.desk.outcomes == ["caller_hung_up"]


async def test_an_unknown_line_hears_so_and_no_stream_is_opened() -> None:
    async with agent_and_twin() as agent:
        call = await agent.twin.place_call(to="+15550777", script=[WaitForEnd()])
        await call.wait_ended(20)
    assert call.status == "completed"
    (said,) = [verb["text"] for verb in call.timeline.of("verb") if verb["name"] == "Say"]
    assert "not in service" in said
    assert not call.timeline.of("stream")
    assert not call.gave_up


async def test_a_full_house_apologises() -> None:
    async with agent_and_twin(EchoDesk(full=True)) as agent:
        call = await agent.twin.place_call(to=LINE, script=[Pause(200), HangUp()])
        await call.wait_ended(20)
    (verb,) = call.timeline.of("verb")
    assert verb["name"] == "Say"
    assert "busy" in verb["text"]


async def test_the_agent_hangs_up_over_rest() -> None:
    async with agent_and_twin() as agent:
        call = await agent.twin.place_call(to=LINE, script=[GREETING, Press("9"), WaitForEnd()])
        await call.wait_ended(20)
    assert call.status == "completed"
    assert not call.gave_up
    assert call.timeline.of("update")[0]["status"] == "completed"
    assert agent.desk.outcomes == ["caller_hung_up"]


async def test_a_transfer_dials_the_human_and_ends_after_them() -> None:
    async with agent_and_twin() as agent:
        agent.twin.set_callee(HUMAN, Callee(ring_s=0.1, script=[Speak(tone(300)), Pause(300)]))
        call = await agent.twin.place_call(to=LINE, script=[GREETING, Press("1"), WaitForEnd()])
        await call.wait_ended(20)
    assert call.timeline.of("dial")[-1]["status"] == "completed"
    assert call.timeline.of("dial")[-1]["to"] == HUMAN
    assert call.status == "completed"
    assert len(agent.desk.admitted) == 1


async def test_a_failed_transfer_brings_the_caller_back_to_the_agent() -> None:
    async with agent_and_twin() as agent:
        agent.twin.set_callee(HUMAN, Callee(policy="busy", ring_s=0.1))
        call = await agent.twin.place_call(
            to=LINE, script=[GREETING, Press("1"), GREETING, HangUp()]
        )
        await call.wait_ended(30)
    assert agent.desk.marks == ["greeted", "greeted"]
    assert len(agent.desk.admitted) == 2
    assert agent.desk.dialled == ["busy"]
    assert not call.gave_up


@pytest.mark.parametrize(
    ("step", "verb"),
    [
        (NextStep("hang_up"), "Hangup"),
        (NextStep("dial", HUMAN), "Say"),
        (NextStep("apologise"), "Say"),
    ],
)
async def test_after_the_stream_the_desk_says_what_is_next(step: NextStep, verb: str) -> None:
    async with agent_and_twin(EchoDesk(steps=[step])) as agent:
        agent.twin.set_callee(HUMAN, Callee(ring_s=0.1, script=[Pause(100)]))
        script = [GREETING, Press("5"), Pause(600), HangUp()]
        call = await agent.twin.place_call(to=LINE, script=script)
        await call.wait_ended(20)
    names = [detail["name"] for detail in call.timeline.of("verb")]
    assert names[:2] == ["Connect", verb]
    assert agent.desk.outcomes == ["agent_ended"]


async def test_a_caller_nobody_can_help_leaves_a_message() -> None:
    async with agent_and_twin(EchoDesk(steps=[NextStep("take_message")])) as agent:
        call = await agent.twin.place_call(
            to=LINE,
            script=[
                GREETING,
                Press("5"),
                GREETING,
                Pause(500),
                Speak(tone(900)),
                Press("#"),
                GREETING,
            ],
        )
        await call.wait_ended(30)
        (recording,) = agent.twin.recordings.values()
    ((sid, url, seconds),) = agent.desk.messages
    assert sid == call.sid
    assert url.endswith(recording.sid)
    assert seconds == recording.duration_s
    assert "Your message was taken" in str(call.timeline.of("verb"))


async def test_a_reconnect_gives_a_fresh_stream_with_a_fresh_token() -> None:
    async with agent_and_twin(EchoDesk(steps=[NextStep("reconnect")])) as agent:
        call = await agent.twin.place_call(
            to=LINE, script=[GREETING, Press("5"), GREETING, HangUp()]
        )
        await call.wait_ended(20)
    streams = [detail for detail in call.timeline.of("stream") if detail["event"] == "started"]
    assert len({stream["sid"] for stream in streams}) == 2
    assert agent.desk.outcomes == ["agent_ended", "caller_hung_up"]


async def test_clear_stops_playback_at_once_and_returns_the_marks() -> None:
    async with agent_and_twin() as agent:
        call = await agent.twin.place_call(
            to=LINE, script=[GREETING, Press("0"), Pause(600), HangUp()]
        )
        await call.wait_ended(20)
    assert agent.desk.marks == ["greeted", "never heard"]
    (cleared,) = [entry for entry in call.timeline.of("received") if entry["event"] == "clear"]
    assert cleared["dropped_ms"] > 15_000
    assert call.heard.length_ms < 15_000


async def test_calls_do_not_disturb_one_another() -> None:
    async with agent_and_twin() as agent:
        script = [GREETING, Speak(tone(200)), Pause(500), HangUp()]
        calls = [await agent.twin.place_call(to=LINE, script=script) for _ in range(5)]
        for call in calls:
            await call.wait_ended(30)
    assert [call.status for call in calls] == ["completed"] * 5
    assert [len(call.heard.answer_delays_ms) for call in calls] == [1] * 5
