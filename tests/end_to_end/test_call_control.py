"""Calls through the twin to the whole agent: who ends them, who takes them, what is heard meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from agent.calls.outbound import OutboundRequest
from agent.log import configure_logging
from connectors.twilio.twin import (
    Callee,
    HangUp,
    Pause,
    Press,
    Speak,
    TwinCall,
    WaitForAgent,
    WaitForEnd,
    WaitForSpeech,
)
from connectors.twilio.twin.audio import tone
from tests.end_to_end.house import HUMAN, LINE, heard, house, payloads, said
from tests.pipeline.realtime_server import CallTool, Say, Script

pytestmark = pytest.mark.end_to_end

GREETING = WaitForAgent(silence_ms=300, limit_s=15)
ASK = Speak(tone(300))
REPLY = 0x30
NOBODY = "I am sorry, nobody can take your call right now. How else can I help you?"
PERSON = {"tools": ["transfer_to_human", "end_call"], "transfer_target": HUMAN}


def ask(call: TwinCall) -> None:
    """Let the caller say something, and go on listening."""
    call.go_silent()
    call.say(ASK)


async def test_the_goodbye_is_heard_before_the_agent_hangs_up(tmp_path: Path) -> None:
    script = Script(
        words=deque(["bye"]), answers=deque([CallTool("end_call"), Say("Goodbye.", 600, REPLY)])
    )
    async with house(tmp_path, script, **PERSON) as at:
        call = await at.twin.place_call(to=LINE, script=[GREETING, ASK, WaitForEnd()])
        await call.wait_ended(30)
        record = await at.record(call.sid)
        await at.nothing_is_left(call.sid)
    assert heard(call, REPLY) == 600
    assert not call.gave_up
    assert record.call.end_reason == "agent_ended"
    assert payloads(record, "hang_up")[0]["reason"] == "the agent said goodbye"


async def test_a_caller_nobody_takes_comes_back_to_an_agent_that_remembers(tmp_path: Path) -> None:
    script = Script(
        words=deque(["a person please", "then tell me when you open"]),
        answers=deque(
            [
                CallTool("transfer_to_human", '{"reason": "wants a person"}'),
                Say("Hold on.", 300, REPLY),
                Say("At nine.", 300, 0x31),
            ]
        ),
    )
    async with house(tmp_path, script, disclosure="You talk to a machine.", **PERSON) as at:
        at.twin.set_callee(HUMAN, Callee(policy="busy", ring_s=1.0))
        call = await at.twin.place_call(to=LINE, script=[WaitForEnd()])
        await at.has_said(call.sid, "Hello there.")
        ask(call)
        await at.has_said(call.sid, NOBODY)
        ask(call)
        await at.has_said(call.sid, "At nine.")
        call.hang_up()
        await call.wait_ended(40)
        record = await at.record(call.sid)
        await at.nothing_is_left(call.sid)
        told = str([event["item"] for event in script.received("conversation.item.create")])
    assert heard(call, REPLY) == 300, "all of it, before it rang elsewhere"
    assert heard(call, 0x31) == 300
    assert said(record)[:4] == [
        "You talk to a machine.",
        "Hello there.",
        "Hold on.",
        NOBODY,
    ]
    assert len(script.sessions) == 2
    assert "a person please" in told
    assert "Hold on." in told
    assert payloads(record, "transfer_failed") == [{"status": "busy"}]
    assert len(payloads(record, "disclosure")) == 1, "said once in a call"
    assert record.call.end_reason == "caller_hung_up"


async def test_a_person_who_answers_has_the_caller(tmp_path: Path) -> None:
    script = Script(
        words=deque(["a person please"]),
        answers=deque(
            [CallTool("transfer_to_human", '{"reason": "x"}'), Say("Hold on.", 300, REPLY)]
        ),
    )
    async with house(tmp_path, script, **PERSON) as at:
        at.twin.set_callee(HUMAN, Callee(ring_s=0.1, script=[Pause(400)]))
        call = await at.twin.place_call(to=LINE, script=[GREETING, ASK, WaitForEnd()])
        await call.wait_ended(30)
        record = await at.record(call.sid)
        await at.nothing_is_left(call.sid)
    assert call.timeline.of("dial")[-1]["status"] == "completed"
    assert heard(call, REPLY) == 300
    assert record.call.end_reason == "transferred"
    assert len(script.sessions) == 1


async def test_keys_reach_the_model_and_no_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script(answers=deque([Say("Thank you.", 700, REPLY), Say("And that.", 700, 0x31)]))
    configure_logging("json", level="DEBUG")
    try:
        async with house(tmp_path, script) as at:
            call = await at.twin.place_call(
                to=LINE,
                script=[
                    GREETING,
                    Press("73194682#"),
                    GREETING,
                    Press("55701934"),
                    GREETING,
                    HangUp(),
                ],
            )
            await call.wait_ended(30)
            record = await at.record(call.sid)
    finally:
        configure_logging()
        logging.getLogger().handlers.clear()
    typed = [
        event["item"]["content"][0]["text"] for event in script.received("conversation.item.create")
    ]
    assert not call.gave_up
    assert typed == ["Keys pressed: 73194682#", "Keys pressed: 55701934"], "# and a pause end them"
    assert len(payloads(record, "digit")) == 17
    logs = capsys.readouterr()
    written = logs.out + logs.err
    assert "call_admitted" in written
    assert "73194682" not in written
    assert "55701934" not in written
    assert '"digit' not in written


async def test_a_silent_caller_is_asked_and_let_go(tmp_path: Path) -> None:
    script = Script(say_ms=300)
    async with house(tmp_path, script, reprompt_after_s=1, reprompts=1) as at:
        call = await at.twin.place_call(to=LINE, script=[WaitForEnd()])
        await call.wait_ended(30)
        record = await at.record(call.sid)
    assert not call.gave_up
    assert said(record)[1] == "Are you still there?"
    assert heard(call, 0x10) == 900, "greeting, question and goodbye"
    assert payloads(record, "hang_up")[0]["reason"] == "silence"


async def test_a_closed_line_says_so_and_opens_no_stream(tmp_path: Path) -> None:
    closed = {
        "hours": {"time_zone": "UTC", "open": {}},
        "after_hours": "say",
        "after_hours_text": "We are closed.",
    }
    async with house(tmp_path, Script(), **closed) as at:
        call = await at.twin.place_call(to=LINE, script=[WaitForEnd()])
        await call.wait_ended(20)
        record = await at.record(call.sid)
    verbs = [(verb["name"], verb["text"]) for verb in call.timeline.of("verb")]
    assert verbs == [("Say", "We are closed."), ("Hangup", "")]
    assert (record.call.end_reason, record.call.attempt) == ("after_hours", 0)


@pytest.mark.timeout(60)
async def test_without_a_model_an_apology_then_a_person_then_a_message(tmp_path: Path) -> None:
    dead = "ws://127.0.0.1:1/v1/realtime"
    line = {"voicemail": True, "transfer_target": HUMAN}
    async with house(tmp_path, Script(), model_url=dead, **line) as at:
        at.twin.set_callee(HUMAN, Callee(policy="no_answer", ring_s=0.2))
        call = await at.twin.place_call(to=LINE, script=[WaitForEnd()])
        async with asyncio.timeout(40):
            while not any(  # noqa: ASYNC110 - the twin rings no bell
                verb["name"] == "Record" for verb in call.timeline.of("verb")
            ):
                await asyncio.sleep(0.05)
        after_the_beep = np.concatenate([np.zeros(16_000, np.int16), tone(900)])
        call.say(Speak(after_the_beep))  # and hangs up
        await call.wait_ended(50)
        await at.record(call.sid)
        (recording,) = at.twin.recordings.values()
        await at.agent.application.shipper.drain()
        record = await at.record(call.sid)
    # On a slow machine the caller is asked for a moment more than once.
    words = list(dict.fromkeys(said(record)))
    assert words == ["One moment, please.", "I am sorry, there is a technical problem."]
    assert call.timeline.of("dial")[-1]["status"] == "no-answer"
    (message,) = payloads(record, "voicemail")
    assert message["url"].endswith(recording.sid)
    assert record.call.end_reason == "failed"


OUT = {"outbound": {"greeting": "It is about tomorrow.", "time_zone": "UTC", "hours": "0:00-24:00"}}
WISH = OutboundRequest(LINE, "+15550321", consent="form 7")


async def test_the_agent_calls_someone_and_talks(tmp_path: Path) -> None:
    script = Script(words=deque(["yes"]), answers=deque([Say("Fine.", 300, REPLY)]))
    async with house(tmp_path, script, disclosure="You talk to a machine.", **OUT) as at:
        at.twin.set_callee(
            "+15550321", Callee(ring_s=0.1, script=[GREETING, ASK, GREETING, HangUp()])
        )
        placed = await at.agent.application.outbound.place(WISH)
        (call,) = at.twin.calls
        await call.wait_ended(30)
        record = await at.record(call.sid)
    assert record.call.id == placed.call_id
    assert said(record) == ["You talk to a machine.", "It is about tomorrow.", "Fine."]
    assert (record.call.direction, record.call.to_number) == ("outbound", LINE)
    assert payloads(record, "answered_by") == [{"verdict": "human"}]
    assert payloads(record, "consent")[0]["reference"] == "form 7"


async def test_machines_and_busy_phones_end_an_outbound_call(tmp_path: Path) -> None:
    async with house(tmp_path, Script(say_ms=3000), **OUT) as at:
        machine = Callee(ring_s=0.1, answered_by="machine_start", verdict_s=1.0)
        at.twin.set_callee("+15550321", machine)
        at.twin.set_callee("+15550322", Callee(policy="busy", ring_s=0.1))
        outbound = at.agent.application.outbound
        await outbound.place(WISH)
        await outbound.place(OutboundRequest(LINE, "+15550322", consent="form 8"))
        answered, busy = at.twin.calls
        await answered.wait_ended(30)
        await busy.wait_ended(30)
        records = [await at.record(call.sid) for call in (answered, busy)]
    assert [record.call.end_reason for record in records] == ["agent_ended", "busy"]
    assert payloads(records[0], "hang_up")[0]["reason"] == "answering machine"
    assert not answered.gave_up


@pytest.mark.timeout(60)
async def test_a_caller_may_hang_up_at_any_moment_and_nothing_stays(tmp_path: Path) -> None:
    script = Script(
        words=deque(["a person please"] * 3),
        answers=deque(
            [CallTool("transfer_to_human", '{"reason": "x"}'), Say("Hold on.", 2000, REPLY)] * 3
        ),
        say_ms=600,
    )
    moments = [
        [HangUp()],
        [WaitForSpeech(for_ms=100), HangUp()],
        [GREETING, Speak(tone(200)), HangUp()],
        [GREETING, ASK, WaitForSpeech(for_ms=200), HangUp()],
        [GREETING, ASK, GREETING, Pause(300), HangUp()],
    ]
    async with house(tmp_path, script, disclosure="You talk to a machine.", **PERSON) as at:
        at.twin.set_callee(HUMAN, Callee(ring_s=5, policy="no_answer"))
        for moment in moments:
            call = await at.twin.place_call(to=LINE, script=moment)
            await call.wait_ended(30)
            record = await at.record(call.sid)
            assert record.call.end_reason in {"caller_hung_up", "transferred", "completed"}
            await at.nothing_is_left(call.sid)
