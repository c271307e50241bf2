"""Whole calls: a phone that plays in real time, a scripted model server, a real socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
import sys
import wave
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.api import CallOutcome
from agent.audio import TELEPHONE
from agent.calls.context import CallContext
from agent.calls.outbound_rules import number_hash
from agent.clock import SystemClock
from agent.mulaw import decode
from agent.pipeline.clips import APOLOGY, GOODBYE
from agent.pipeline.limits import CallLimits
from agent.pipeline.model_server import ModelServer
from agent.pipeline.recorder import AGENT, CALLER
from agent.pipeline.runner import PipelineRunner
from tests.pipeline.phone import SPEECH, Phone, context, until
from tests.pipeline.realtime_server import (
    CallTool,
    Fail,
    Mute,
    Noise,
    Say,
    Script,
    realtime_server,
)

pytestmark = pytest.mark.integration

SAID = 0x10
"""Byte of everything the script's server is told to say."""
REPLY = 0x30


@asynccontextmanager
async def call(
    url: str,
    phone: Phone,
    about: CallContext,
    *,
    limits: CallLimits | None = None,
    **server: Any,
) -> AsyncIterator[asyncio.Task[CallOutcome]]:
    """A running call; when the block ends the caller hangs up, if nobody else did."""
    model = ModelServer(url, "key", **server)
    runner = PipelineRunner(url, "key", SystemClock(), server=model, limits=limits)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(phone.run())
        running = group.create_task(runner.run(about, phone, phone))
        try:
            yield running
        finally:
            phone.hang_up_as_caller()


async def test_greeting_turn_and_hang_up_of_the_caller() -> None:
    script = Script(
        words=deque(["when do you open"]), answers=deque([Say("We open at nine.", 300, REPLY)])
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await phone.until_heard(SAID, 1600)
        await journal.until("utterance")
        phone.speak(300)
        await phone.until_heard(REPLY, 2400)
        await journal.until("utterance", 3)
    assert running.result() == "caller_hung_up"
    greeting, question, answer = journal.of("utterance")
    assert (greeting["role"], greeting["pii_text"]) == ("agent", "Hello there.")
    assert (question["role"], question["pii_text"]) == ("caller", "when do you open")
    assert question["end_ms"] - question["start_ms"] == 300
    assert (answer["pii_text"], answer["pii_heard"]) == ("We open at nine.", "We open at nine.")
    assert answer["end_ms"] - answer["start_ms"] == 300
    assert not answer["interrupted"]
    (turn,) = journal.of("turn")
    assert turn["latency_ms"] >= 0
    update = script.received("session.update")[0]["session"]
    assert update["instructions"] == about.line.instructions()
    assert update["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert update["tools"] == about.tools.specs()


async def test_who_follows_a_call_reads_the_words_while_they_are_heard() -> None:
    answer = "We open at nine o'clock on every day but Sunday."
    answers = deque([Say(answer, 1500, REPLY)])
    script = Script(deque(["when do you open"]), answers, early_words=("when", " do"))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await journal.until("utterance", 3)
    shown = [payload for kind, payload in journal.shown if kind == "caption"]
    asked = [each for each in shown if each["role"] == "caller"]
    assert [each["pii_text"] for each in asked] == ["", "when", "when do"]
    assert not any(each["final"] for each in asked)
    parts = [str(each["pii_text"]) for each in shown if answer.startswith(each["pii_text"] or "-")]
    assert len(parts) >= 3
    assert parts == sorted(parts, key=len)
    assert parts[0] != answer


async def test_reply_audio_arrives_whole_and_unchanged() -> None:
    script = Script(words=deque(["q"]), answers=deque([Say("A long answer.", 730, REPLY)]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await journal.until("utterance", 3)
        audio = b"".join(payload for kind, payload in phone.sent if kind == "audio")
        assert audio == bytes([SAID]) * 1600 + bytes([REPLY]) * 5840


async def test_caller_audio_reaches_the_server_byte_by_byte() -> None:
    script = Script(words=deque(["q"]), answers=deque([Say("Yes.", 100, REPLY)]))
    about, _, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        phone.speak(200)
        await phone.until_heard(REPLY)
        assert script.sessions[0].heard.count(SPEECH) == 10


async def test_a_tool_is_run_and_its_answer_spoken_once() -> None:
    script = Script(
        words=deque(["where is it"]),
        answers=deque([CallTool("lookup", '{"id": 7}', "call_7"), Say("On its way.", 200, REPLY)]),
    )
    about, journal, tools = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await phone.until_heard(REPLY, 1600)
        assert tools.ran == [("lookup", '{"id": 7}', "call_7")]
        (item,) = [event["item"] for event in script.received("conversation.item.create")]
        assert item["type"] == "function_call_output"
        assert (item["call_id"], item["output"]) == ("call_7", '{"answer": 42}')
        asked = [
            e for e in script.received("response.create") if "instructions" not in e["response"]
        ]
        assert len(asked) == 1


async def test_a_slow_tool_is_bridged_with_a_filler() -> None:
    script = Script(
        words=deque(["q"]), answers=deque([CallTool("lookup"), Say("Done.", 200, REPLY)])
    )
    about, journal, _ = context(tool_s=0.6)
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about, filler_s=0.1):
        await journal.until("utterance")
        phone.speak(100)
        await phone.until_heard(REPLY, 1600)
        said = [event["pii_text"] for event in journal.of("utterance") if event["role"] == "agent"]
        assert said == ["Hello there.", "One moment, please."]


async def test_a_caller_who_goes_on_ends_a_lookup_but_not_a_tool_with_an_effect() -> None:
    script = Script(
        words=deque(["look it up", "and book it", "hello?"]),
        answers=deque(
            [
                CallTool("lookup", call_id="call_1"),
                CallTool("book", call_id="call_2"),
                Say("Yes, I am here.", 200, REPLY),
                Say("It is booked.", 200, 0x31),
            ]
        ),
    )
    about, journal, tools = context(tool_s=inf)
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        for turn in range(3):
            phone.speak(100)
            await journal.until("utterance", 2 + turn)
        await phone.until_heard(REPLY, 1600)
        (lookup,) = await script.until("conversation.item.create")
        assert lookup["item"]["call_id"] == "call_1"
        assert "went on" in lookup["item"]["output"]
        assert (tools.cancelled, tools.finished) == (["lookup"], [])
        tools.may_finish.set()
        await phone.until_heard(0x31, 1600)
        assert (tools.cancelled, tools.finished) == (["lookup"], ["book"])


async def test_an_interruption_clears_the_carrier_and_truncates_at_what_was_heard() -> None:
    text = " ".join(f"word{n}" for n in range(30))
    script = Script(
        words=deque(["q", "stop"]),
        answers=deque([Say(text, 3000, REPLY), Say("Sorry.", 200, 0x31)]),
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await phone.until_heard(REPLY, 5600)
        phone.speak(200)
        (truncate,) = await script.until("conversation.item.truncate")
        await phone.until_heard(0x31, 1600)
        heard_ms = phone.heard.count(REPLY) // 8
        assert heard_ms - 400 <= truncate["audio_end_ms"] <= heard_ms + 50
        assert 400 <= truncate["audio_end_ms"] < 2800
        await journal.until("utterance", 3)
        kinds = [kind for kind, _ in phone.sent]
        after = phone.sent[kinds.index("clear") + 1 :]
        assert REPLY not in b"".join(payload for kind, payload in after if kind == "audio")
    cut = next(u for u in journal.of("utterance") if u.get("interrupted"))
    assert cut["pii_text"] == text
    assert text.startswith(cut["pii_heard"])
    assert 4 <= len(cut["pii_heard"].split()) < 29
    assert journal.of("interruption")[0]["heard_ms"] == truncate["audio_end_ms"]


async def test_while_the_server_weighs_a_sound_the_agent_speaks_lower_and_says_all() -> None:
    script = Script(words=deque(["q"]), answers=deque([Say("A long answer.", 2000, REPLY)]))
    about, journal, _ = context()
    phone = Phone()

    def lowered() -> int:
        audio = b"".join(payload for kind, payload in phone.sent if kind == "audio")
        return len(audio) - audio.count(REPLY) - audio.count(SAID)

    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await phone.until_heard(REPLY, 800)
        await script.sessions[0].send("rate_limits.updated", rate_limits=[], vita_duck=True)
        await until(lambda: lowered() > 800)
        await script.sessions[0].send("rate_limits.updated", rate_limits=[], vita_duck=False)
        await journal.until("utterance", 3)
        audio = b"".join(payload for kind, payload in phone.sent if kind == "audio")
    assert len(audio) == 1600 + 16_000
    assert audio[-160:] == bytes([REPLY]) * 160
    assert "clear" not in [kind for kind, _ in phone.sent]


async def test_noise_is_journalled_and_stays_unanswered() -> None:
    script = Script(words=deque([""]), answers=deque([Noise()]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(60)
        (noise,) = await journal.until("noise")
        assert noise["metadata"] == {"vita_state": "noise"}
    assert journal.of("turn") == []
    assert len(journal.of("utterance")) == 1


async def test_a_disclosure_cannot_be_interrupted() -> None:
    script = Script(words=deque(["hello"]), answers=deque([Say("Yes?", 100, REPLY)]), say_ms=500)
    about, journal, _ = context(disclosure="This call is recorded.")
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await phone.until_heard(SAID, 400)
        phone.speak(100)
        await journal.until("utterance", 2)
        assert [u["pii_heard"] for u in journal.of("utterance")] == [
            "This call is recorded.",
            "Hello there.",
        ]
        assert SPEECH not in script.sessions[0].heard
        phone.speak(100)
        await phone.until_heard(REPLY)
    assert journal.of("interruption") == []


async def test_what_was_disclosed_is_logged_before_the_greeting(tmp_path: Path) -> None:
    about, journal, _ = context(
        disclosure="You talk to a machine.",
        recording_announcement="This call is recorded.",
        recording=tmp_path / "call.wav",
    )
    phone = Phone()
    async with realtime_server(Script()) as (url, _), call(url, phone, about):
        await journal.until("utterance", 3)
    said = [u["pii_heard"] for u in journal.of("utterance")]
    assert said == ["You talk to a machine.", "This call is recorded.", "Hello there."]
    first, second = journal.of("disclosure")
    assert (first["about"], second["about"]) == ("assistant", "recording")
    assert first["text_sha256"] == hashlib.sha256(b"You talk to a machine.").hexdigest()
    assert first["heard"]
    assert second["heard"]
    assert 0 < first["at_ms"] < second["at_ms"]


async def test_a_line_that_does_not_record_does_not_say_that_it_does() -> None:
    about, journal, _ = context(recording_announcement="This call is recorded.")
    async with realtime_server(Script()) as (url, _), call(url, Phone(), about):
        (greeting,) = await journal.until("utterance")
    assert greeting["pii_heard"] == "Hello there."
    assert journal.of("disclosure") == []


async def test_a_lost_server_is_replaced_and_told_everything() -> None:
    script = Script(
        words=deque(["what is it", "and now"]),
        answers=deque(
            [
                CallTool("lookup", "{}", "call_1"),
                Say("It is forty two.", 200, REPLY),
                Say("Now it is fifty and more than that.", 400, 0x31, drop_after_ms=200),
                Say("Now it is fifty.", 200, 0x32),
            ]
        ),
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await journal.until("utterance", 3)
        phone.speak(100)
        await phone.until_heard(0x32, 1600)
        await journal.until("utterance", 6)
        assert len(script.sessions) == 2
        replay = [e["item"] for e in script.received("conversation.item.create")]
    told = [item.get("content", [{}])[0].get("text") or item["type"] for item in replay]
    assert told == [
        "Hello there.",
        "what is it",
        "function_call",
        "function_call_output",
        "It is forty two.",
        "and now",
    ]
    assert [item["content"][0]["type"] for item in replay if "content" in item] == [
        "output_text",
        "input_text",
        "output_text",
        "input_text",
    ]
    assert [link["state"] for link in journal.of("model_link")] == ["connected", "lost", "resumed"]


async def test_words_nobody_wrote_down_are_heard_again_by_the_next_server() -> None:
    script = Script(
        answers=deque([Say("Never heard.", 200, 0x31, drop_after_ms=0), Say("Yes.", 200, REPLY)]),
        transcribe=False,
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(200)
        await phone.until_heard(REPLY, 1600)
        assert len(script.sessions) == 2
        assert script.sessions[1].heard.count(SPEECH) == 10


async def test_no_server_at_all_fails_the_call() -> None:
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(Script()) as (url, _):
        pass
    async with call(url, phone, about, gone_s=0.4) as running:
        assert await running == "failed"
    assert journal.of("fault")[-1]["code"] == "model_unavailable"


async def test_a_server_that_stays_away_in_mid_call_fails_the_call() -> None:
    script = Script()
    about, journal, _ = context()
    phone = Phone()
    async with (
        realtime_server(script) as (url, server),
        call(url, phone, about, gone_s=0.6) as running,
    ):
        await journal.until("utterance")
        server.close()
        assert await running == "failed"
    assert "model_unavailable" in [fault["code"] for fault in journal.of("fault")]


async def test_a_refused_key_fails_the_call_without_waiting() -> None:
    about, journal, _ = context()
    refusing = realtime_server(Script(status=401))
    async with refusing as (url, _), call(url, Phone(), about, gone_s=3600) as running:
        assert await running == "failed"
    assert "HTTP 401" in journal.of("fault")[-1]["message"]


async def test_a_server_that_owes_an_answer_for_too_long_is_left() -> None:
    script = Script(words=deque(["q"]), answers=deque([Mute()]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about, patience_s=0.3):
        await journal.until("utterance")
        phone.speak(100)
        await journal.until("model_link", 2)
        script.answers = deque([Say("Here I am.", 200, REPLY)])
        await phone.until_heard(REPLY, 1600)
    assert journal.of("model_link")[1]["state"] == "lost"


async def test_failed_responses_are_asked_for_again_but_not_for_ever() -> None:
    script = Script(words=deque(["q"]), answers=deque([Fail(), Fail(), Fail()]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        phone.speak(100)
        assert await running == "failed"
    assert not script.answers


async def test_the_call_is_ended_after_the_goodbye_was_heard() -> None:
    script = Script(
        words=deque(["bye"]), answers=deque([CallTool("end_call"), Say("Goodbye.", 600, REPLY)])
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        phone.speak(100)
        assert await running == "agent_ended"
        assert phone.actions == ["hang_up"]
        assert phone.heard.count(REPLY) == 4800
    assert journal.of("utterance")[-1]["pii_heard"] == "Goodbye."


async def test_last_words_take_the_place_of_everything_else() -> None:
    script = Script(words=deque(["q"]), answers=deque([Say("a b c d e f g h", 5000, REPLY)]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        phone.speak(100)
        await phone.until_heard(REPLY, 800)
        about.intents.ask_hang_up("answering machine", last_words="Please call us back.")
        assert await running == "agent_ended"
    assert journal.of("utterance")[-1]["pii_heard"] == "Please call us back."
    assert journal.of("hang_up")[0]["reason"] == "answering machine"
    assert phone.heard.count(REPLY) < 5000 * 8


async def test_a_person_who_asks_not_to_be_called_is_noted_and_the_call_goes_on() -> None:
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(Script()) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        about.intents.ask_do_not_call()
        (noted,) = await journal.until("do_not_call")
        assert not running.done()
    assert noted["number_hash"] == number_hash(about.caller_number)


async def test_a_transfer_waits_for_the_last_words_too() -> None:
    script = Script(
        words=deque(["a person"]),
        answers=deque([CallTool("transfer"), Say("Hold on.", 300, REPLY)]),
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        phone.speak(100)
        assert await running == "transferred"
        assert phone.actions == ["transfer +15550199"]
        assert phone.heard.count(REPLY) == 2400
    assert journal.of("transfer") == [{"target": "+15550199", "reason": "wants a person"}]


async def test_a_refused_transfer_is_told_and_the_call_goes_on() -> None:
    script = Script(
        words=deque(["a person", "fine"]),
        answers=deque([CallTool("transfer"), Say("Hold on.", 100), Say("Good.", 100, REPLY)]),
    )
    about, journal, _ = context()
    phone = Phone(refuse=True)
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        phone.speak(100)
        said = [event["pii_text"] for event in await journal.until("utterance", 4)]
        assert said[2:] == ["Hold on.", "I am sorry, I could not connect you."]
        phone.speak(100)
        await phone.until_heard(REPLY, 800)
    assert running.result() == "caller_hung_up"


async def test_a_caller_who_comes_back_is_told_that_nobody_was_there() -> None:
    about, journal, _ = context(disclosure="You talk to a machine.")
    about = replace(about, dialled="busy")
    async with realtime_server(Script()) as (url, _), call(url, Phone(), about):
        (said,) = await journal.until("utterance")
    assert "nobody can take your call" in said["pii_heard"]


async def test_the_longest_call_ends_with_a_goodbye() -> None:
    script = Script(say_ms=300)
    about, journal, _ = context(max_duration_s=1)
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        assert await running == "agent_ended"
    assert "time is up" in journal.of("utterance")[-1]["pii_heard"]
    assert phone.actions == ["hang_up"]


async def test_a_carrier_that_refuses_to_hang_up_does_not_hold_the_call() -> None:
    about, journal, _ = context(max_duration_s=1)
    phone = Phone(refuse=True)
    async with realtime_server(Script()) as (url, _), call(url, phone, about) as running:
        assert await running == "agent_ended"
    assert journal.of("fault")[-1]["code"] == "carrier"


async def test_keys_become_a_typed_turn() -> None:
    script = Script(answers=deque([Say("Thank you.", 100, REPLY)]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.press("42#")
        await phone.until_heard(REPLY, 800)
        (event,) = script.received("conversation.item.create")
        assert event["item"]["content"] == [{"type": "input_text", "text": "Keys pressed: 42#"}]
    assert [digit["pii_digit"] for digit in journal.of("digit")] == ["4", "2", "#"]


async def test_keys_pressed_during_the_disclosure_are_answered_after_the_greeting() -> None:
    script = Script(answers=deque([Say("Thank you.", 100, REPLY)]), say_ms=500)
    about, journal, _ = context(disclosure="This call is recorded.")
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await phone.until_heard(SAID, 400)
        phone.press("42#")
        await journal.until("utterance", 3)
    said = [u["pii_text"] for u in journal.of("utterance") if u["role"] == "agent"]
    assert said == ["This call is recorded.", "Hello there.", "Thank you."]
    assert journal.of("disclosure")[0]["heard"]


async def test_a_key_interrupts_like_a_voice() -> None:
    script = Script(
        words=deque(["q"]),
        answers=deque([Say("a b c d e f g h", 3000, REPLY), Say("Thank you.", 100, 0x31)]),
    )
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(100)
        await phone.until_heard(REPLY, 1600)
        phone.press("1#")
        await phone.until_heard(0x31, 800)
        assert len(script.received("conversation.item.truncate")) == 1
    assert "clear" in [kind for kind, _ in phone.sent]
    assert len(journal.of("interruption")) == 1


async def test_the_recording_holds_both_sides_true_to_time(tmp_path: Path) -> None:
    script = Script(
        words=deque(["q", "stop"]),
        answers=deque([Say("a b c d", 2000, REPLY), Say("e", 100, 0x31)]),
    )
    about, journal, _ = context(recording=tmp_path / "call.wav")
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        phone.speak(200)
        await phone.until_heard(REPLY, 4000)
        phone.speak(200)
        await journal.until("utterance", 5)
    (told,) = journal.of("recording")
    with wave.open(told["path"], "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert told["duration_ms"] == len(samples) * 1000 // 8000
    tone = {byte: int(decode(bytes([byte]))[0]) for byte in (SAID, REPLY, 0x20, 0x31)}
    caller = np.flatnonzero(samples[:, CALLER] == tone[0x20])
    assert len(caller) == 2 * 1600
    agent = samples[:, AGENT]
    assert np.count_nonzero(agent == tone[SAID]) == 1600
    heard = np.count_nonzero(agent == tone[REPLY])
    assert heard == pytest.approx(phone.heard.count(REPLY), abs=400)
    question_end, answer_start = caller[1599], np.flatnonzero(agent == tone[REPLY])[0]
    assert question_end < answer_start < caller[1600] < np.flatnonzero(agent == tone[0x31])[0]


async def test_shutdown_in_mid_call_ends_it_cleanly(tmp_path: Path) -> None:
    about, journal, _ = context(recording=tmp_path / "call.wav")
    phone = Phone()
    talking = realtime_server(Script(say_ms=2000))
    async with talking as (url, _), call(url, phone, about) as running:
        await phone.until_heard(SAID, 400)
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
    assert journal.of("utterance")[0]["interrupted"]
    assert journal.of("recording")
    left = [task.get_name() for task in asyncio.all_tasks() if "call-1" in task.get_name()]
    assert left == []


async def test_a_part_that_breaks_ends_the_call_as_failed() -> None:
    about, journal, _ = context()
    script = Script(words=deque(["q"]), answers=deque([CallTool("broken")]))
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about) as running:
        await journal.until("utterance")
        phone.speak(100)
        assert await running == "failed"
    assert journal.of("fault")[-1]["code"] == "internal"


async def test_nonsense_from_the_server_is_noted_and_the_call_goes_on() -> None:
    script = Script(words=deque(["q"]), answers=deque([Say("Yes.", 100, REPLY)]))
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, about):
        await journal.until("utterance")
        socket = script.sessions[0].socket
        for message in ("not json", "[]", '{"type": 7}', '{"type": "error"}', '{"type": "x.y"}'):
            await socket.send(message)
        await socket.send(b"\x00\xff")
        bad = base64.b64encode(b"x").decode()[:-1]
        await script.sessions[0].send("response.output_audio.delta", item_id="i", delta=bad)
        await script.sessions[0].send("response.done", response=None)
        phone.speak(100)
        await phone.until_heard(REPLY, 800)
    assert journal.of("fault")


def test_a_call_needs_no_client_library_of_a_model_provider() -> None:
    script = """
import asyncio, sys
from agent.clock import SystemClock
from agent.pipeline.builder import build_pipeline
from agent.pipeline.limits import CallLimits
from agent.pipeline.model_server import ModelServer
from tests.pipeline.phone import Phone, context

async def build() -> None:
    build_pipeline(context()[0], Phone(), SystemClock(), ModelServer("ws://127.0.0.1:1/"), 60)

asyncio.run(build())
sys.exit(not {"openai", "torch", "transformers", "onnxruntime"}.isdisjoint(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 0


# Silence


async def test_a_caller_who_says_nothing_is_asked_and_then_let_go() -> None:
    about, journal, _ = context(reprompt_after_s=1, reprompts=1, reprompt_text="Still there?")
    phone = Phone()
    async with realtime_server(Script(say_ms=100)) as (url, _), call(url, phone, about) as running:
        assert await running == "agent_ended"
    said = [u["pii_heard"] for u in journal.of("utterance")]
    assert said == [
        "Hello there.",
        "Still there?",
        "I cannot hear you, so I will hang up now. Goodbye.",
    ]
    assert [event["act"] for event in journal.of("silence")] == ["reprompt", "give_up"]
    assert journal.of("hang_up")[0]["reason"] == "silence"
    assert phone.actions == ["hang_up"]


async def test_a_model_that_keeps_an_answer_back_is_bridged_by_the_agents_own_words() -> None:
    script = Script(words=deque(["q"]), answers=deque([Mute()]))
    about, journal, _ = context()
    phone = Phone()
    limits = CallLimits(hold_after_s=0.5)
    async with (
        realtime_server(script) as (url, _),
        call(url, phone, about, limits=limits, patience_s=3) as running,
    ):
        await journal.until("utterance")
        phone.speak(100)
        held = await journal.until("utterance", 3)
        assert (held[2]["role"], held[2]["pii_heard"]) == ("agent", "One moment, please.")
        script.answers = deque([Say("Here I am.", 200, REPLY)])
        await phone.until_heard(REPLY, 1600)
        (turn,) = await journal.until("turn")
        assert turn["latency_ms"] > 500, "the words in between are no answer"
        assert not running.done()
    told = [event["item"] for event in script.received("conversation.item.create")]
    assert "One moment" not in str(told), "the model did not say it"


async def test_words_for_the_meantime_can_be_interrupted_like_any_others() -> None:
    script = Script(words=deque(["q", "r"]), answers=deque([Mute()]))
    about, journal, _ = context()
    phone = Phone()
    limits = CallLimits(hold_after_s=0.5)
    async with realtime_server(script) as (url, _), call(url, phone, about, limits=limits):
        await journal.until("utterance")
        phone.speak(100)
        await journal.until("silence")
        script.answers = deque([Say("Here I am.", 200, REPLY)])
        phone.speak(100)
        await phone.until_heard(REPLY, 1600)
        assert script.received("conversation.item.truncate") == [], "the server never had it"
    assert journal.of("interruption")


async def test_a_model_that_was_never_there_is_apologised_for() -> None:
    about, journal, _ = context()
    phone = Phone()
    async with realtime_server(Script()) as (url, _):
        pass
    limits = CallLimits(hold_after_s=0.3)
    async with call(url, phone, about, limits=limits, gone_s=1.0) as running:
        assert await running == "failed"
    said = [u["pii_text"] for u in journal.of("utterance")]
    assert said == ["One moment, please.", "I am sorry, there is a technical problem."]
    assert phone.heard.endswith(APOLOGY.payload(TELEPHONE)[-8000:])


async def test_the_longest_call_ends_with_a_goodbye_even_when_the_model_is_stuck() -> None:
    script = Script(words=deque(["q"]), answers=deque([Mute()]))
    about, journal, _ = context(max_duration_s=1)
    phone = Phone()
    limits = CallLimits(mute_s=0.2, hold_after_s=60)
    async with (
        realtime_server(script) as (url, _),
        call(url, phone, about, limits=limits) as running,
    ):
        await journal.until("utterance")
        phone.speak(100)
        assert await running == "agent_ended"
    assert journal.of("utterance")[-1]["pii_heard"] == GOODBYE.text
    assert phone.heard.endswith(GOODBYE.payload(TELEPHONE)[-8000:])
    assert journal.of("hang_up")[0]["reason"] == "longest call"
