"""A call that another worker has begun: told to a new model session, and gone on with."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.calls.context import CallContext
from agent.calls.memory import Entry
from agent.pipeline.limits import CallLimits
from tests.pipeline.phone import Notebook, Phone, Toolbox, context
from tests.pipeline.realtime_server import CallTool, Mute, Say, Script, realtime_server
from tests.pipeline.test_call import REPLY, SAID, call

pytestmark = pytest.mark.integration

BACK = CallLimits().back
WHERE = CallLimits().where_were_we

HELLO = Entry("i1", "agent", "Hello there.")
QUESTION = Entry("i2", "caller", "where is my order")
LOOKUP = Entry("i3", "call", '{"id":7}', "t1", "lookup")
FOUND = Entry("i4", "output", '{"answer":42}', "t1")
ANSWER = Entry("i5", "agent", "On its way.")


class Memory:
    """Remembers what it was given; `lost` stands for a call that another worker has."""

    def __init__(self, *, lost: bool = False) -> None:
        self.entries: Sequence[Entry] = ()
        self.asked = asyncio.Event()
        self._lost = lost

    def keep(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)

    async def kept(self) -> bool:
        self.asked.set()
        return not self._lost

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(entry.kind, entry.text) for entry in self.entries]


def about(
    *earlier: Entry, lost: bool = False, **line: object
) -> tuple[CallContext, Notebook, Toolbox, Memory]:
    made, journal, tools = context(**line)
    memory = Memory(lost=lost)
    return replace(made, earlier=earlier, memory=memory), journal, tools, memory


def replayed(script: Script) -> list[str]:
    return [event["item"]["type"] for event in script.received("conversation.item.create")]


async def test_the_new_session_is_told_everything_and_the_caller_hears_an_apology() -> None:
    script = Script(words=deque(["thanks"]), answers=deque([Say("Bye.", 100, REPLY)]))
    given, journal, _, memory = about(
        HELLO, QUESTION, LOOKUP, FOUND, ANSWER, disclosure="This is a machine."
    )
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, given):
        await journal.until("utterance")
        items = [event["item"] for event in script.received("conversation.item.create")]
        phone.speak(100)
        await phone.until_heard(REPLY)
        await journal.until("utterance", 3)
    assert [item["type"] for item in items] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert [item["content"][0]["text"] for item in items if item["type"] == "message"] == [
        "Hello there.",
        "where is my order",
        "On its way.",
    ]
    said = [each["pii_text"] for each in journal.of("utterance")]
    assert said == [f"{BACK} {WHERE}", "thanks", "Bye."]
    assert memory.told == [
        *[(entry.kind, entry.text) for entry in given.earlier],
        ("agent", f"{BACK} {WHERE}"),
        ("caller", "thanks"),
        ("agent", "Bye."),
    ]


async def test_an_answer_that_was_owed_is_given_after_the_apology() -> None:
    script = Script(answers=deque([Say("On its way.", 200, REPLY)]))
    given, journal, _, _ = about(HELLO, QUESTION)
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, given):
        await phone.until_heard(REPLY, 1600)
        await journal.until("utterance", 2)
        assert phone.heard.index(SAID) < phone.heard.index(REPLY)
    assert [each["pii_text"] for each in journal.of("utterance")] == [BACK, "On its way."]
    asked = [e for e in script.received("response.create") if "instructions" not in e["response"]]
    assert len(asked) == 1


async def test_a_tool_without_an_answer_is_taken_up_under_its_old_name() -> None:
    script = Script(answers=deque([Say("On its way.", 200, REPLY)]))
    given, journal, tools, memory = about(HELLO, QUESTION, LOOKUP)
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, given):
        await phone.until_heard(REPLY, 1600)
        await journal.until("utterance", 2)
    assert tools.ran == [("lookup", '{"id":7}', "t1")]
    assert replayed(script).count("function_call_output") == 1
    asked = [e for e in script.received("response.create") if "instructions" not in e["response"]]
    assert len(asked) == 1
    assert ("output", '{"answer": 42}') in memory.told


async def test_a_caller_who_heard_nothing_yet_gets_the_whole_opening() -> None:
    given, journal, _, _ = about(disclosure="This is a machine.")
    phone = Phone()
    async with realtime_server(Script()) as (url, _), call(url, phone, given):
        await journal.until("utterance", 2)
    said = [each["pii_text"] for each in journal.of("utterance")]
    assert said == ["This is a machine.", "Hello there."]


async def test_a_reply_is_remembered_once_heard_and_only_as_far_as_heard() -> None:
    script = Script(
        words=deque(["q", "stop"]),
        answers=deque([Say("One two three four five six.", 3000, REPLY), Mute()]),
    )
    given, journal, _, memory = about()
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, given):
        await journal.until("utterance")
        assert memory.told == [("agent", "Hello there.")]
        phone.speak(100)
        await phone.until_heard(REPLY, 1600)
        assert memory.told == [("agent", "Hello there."), ("caller", "q")]
        phone.speak(200)
        await journal.until("utterance", 4)
        kinds = [kind for kind, _ in memory.told]
        assert kinds == ["agent", "caller", "agent", "caller"]
        heard = memory.told[2][1]
        assert "One two three four five six.".startswith(heard)
        assert 0 < len(heard) < 28


async def test_a_worker_that_lost_the_call_runs_no_tool() -> None:
    script = Script(words=deque(["q"]), answers=deque([CallTool("lookup"), Mute()]))
    given, journal, tools, memory = about(lost=True)
    phone = Phone()
    async with realtime_server(script) as (url, _), call(url, phone, given):
        await journal.until("utterance")
        phone.speak(100)
        await memory.asked.wait()
        assert memory.told[-1] == ("call", "{}")
    assert tools.ran == []
