from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from agent.calls.context import CallIntents
from agent.calls.line import Line
from agent.errors import ConfigurationError, ToolError
from agent.store.spool import SpoolError
from agent.tools.appointments import book_appointment
from agent.tools.builtin import end_call, transfer_to_human
from agent.tools.orders import lookup_order
from agent.tools.registry import ToolRegistry
from agent.tools.runner import LONGEST_ANSWER, CallToolBox
from agent.tools.testing import try_tool
from agent.tools.tool import Tool, ToolContext, tool

pytestmark = pytest.mark.integration


class ListJournal:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any], bool]] = []

    def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:
        self.events.append((kind, dict(payload), durable))
        return len(self.events)


@tool()
async def greet(name: str, loud: bool = False) -> dict[str, str]:
    """Greet a person.

    More that the model need not read.
    """
    return {"said": name.upper() if loud else name}


@tool(timeout_s=0.05)
async def sleep_long() -> str:
    """Take too long."""
    await asyncio.sleep(60)
    return "never"


waiting = asyncio.Event()


@tool(effect="none")
async def wait() -> None:
    """Wait to be cancelled."""
    waiting.set()
    await asyncio.Event().wait()


@tool()
async def crash() -> str:
    """Break."""
    raise RuntimeError("no")


@tool()
async def refuse() -> str:
    """Say no."""
    raise ToolError("the shop is closed")


@tool()
async def babble() -> str:
    """Say too much."""
    return "x" * LONGEST_ANSWER


@tool()
def which_thread() -> str:
    """Say where it runs."""
    return threading.current_thread().name


@pytest.fixture
def journal() -> ListJournal:
    return ListJournal()


@pytest.fixture
def box(line: Line, journal: ListJournal, tmp_path: Path, clock) -> CallToolBox:
    context = ToolContext("c1", "+15550123", line, CallIntents(), tmp_path)
    tools = (greet, sleep_long, wait, crash, refuse, babble, which_thread)
    return CallToolBox({each.name: each for each in tools}, context, journal, clock)


def test_a_definition_comes_from_the_function():
    assert greet.spec() == {
        "type": "function",
        "name": "greet",
        "description": "Greet a person.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "loud": {"type": "boolean", "default": False},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    }


def test_rich_types_reach_the_definition_and_a_field_may_be_called_title():
    @tool(name="rate")
    async def rate_it(
        title: Annotated[str, Field(description="the title")], stars: Literal[1, 2]
    ) -> None:
        """Rate."""

    spec = rate_it.spec()
    assert spec["name"] == "rate"
    assert spec["parameters"]["properties"] == {
        "title": {"type": "string", "description": "the title"},
        "stars": {"type": "integer", "enum": [1, 2]},
    }


def test_the_context_is_no_argument():
    assert end_call.spec()["parameters"]["properties"] == {}
    assert list(transfer_to_human.spec()["parameters"]["properties"]) == ["reason"]


def test_a_tool_without_docstring_type_or_sane_timeout_is_refused():
    async def silent(x: int) -> None: ...

    async def untyped(x) -> None:  # type: ignore[no-untyped-def]
        """Do."""

    for function, says in ((silent, "docstring"), (untyped, "x needs a type")):
        with pytest.raises(ConfigurationError, match=says):
            tool()(function)
    with pytest.raises(ConfigurationError, match="timeout"):
        tool(timeout_s=99)(greet.body.function)


async def test_intent_and_result_are_journalled_durably(box: CallToolBox, journal: ListJournal):
    answer = await box.run("greet", '{"name": "ann"}', "t1")
    assert json.loads(answer) == {"said": "ann"}
    (first, intent, sure), (second, result, also) = journal.events
    assert (first, second, sure, also) == ("tool_intent", "tool_result", True, True)
    assert intent["pii_arguments"] == '{"name": "ann"}'
    assert (result["tool_call_id"], result["status"], result["pii_result"]) == ("t1", "ok", answer)


@pytest.mark.parametrize(
    ("name", "arguments", "status_and_words"),
    [
        ("dance", "{}", ("refused", "there is no tool dance")),
        ("greet", "{}", ("refused", "name: Field required")),
        ("greet", '{"name": "a", "age": 3}', ("refused", "age")),
        ("greet", "not json", ("refused", "arguments")),
        ("sleep_long", "{}", ("timed_out", "in time")),
        ("crash", "{}", ("crashed", "crash failed")),
        ("refuse", "", ("failed", "the shop is closed")),
        ("babble", "{}", ("ok", "more than can be read out")),
    ],
)
async def test_every_failure_is_an_answer_and_in_the_journal(
    box: CallToolBox,
    journal: ListJournal,
    name: str,
    arguments: str,
    status_and_words: tuple[str, str],
):
    status, says = status_and_words
    answer = json.loads(await box.run(name, arguments, "t1"))
    assert says in answer["error"]
    assert [kind for kind, _, _ in journal.events] == ["tool_intent", "tool_result"]
    assert journal.events[1][1]["status"] == status


async def test_a_number_is_taken_for_text(box: CallToolBox):
    assert json.loads(await box.run("greet", '{"name": 48213}', "t1")) == {"said": "48213"}


async def test_a_plain_function_runs_off_the_loop(box: CallToolBox):
    assert json.loads(await box.run("which_thread", "{}", "t1")) != threading.current_thread().name


async def test_the_same_call_again_gets_the_same_answer(box: CallToolBox, journal: ListJournal):
    twice = await asyncio.gather(*(box.run("greet", '{"name": "a"}', "t1") for _ in range(2)))
    assert twice[0] == twice[1]
    assert len(journal.events) == 2


async def test_a_cancelled_tool_is_in_the_journal(box: CallToolBox, journal: ListJournal):
    running = asyncio.get_running_loop().create_task(box.run("wait", "{}", "t1"))
    await waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert journal.events[1][1]["status"] == "cancelled"


async def test_without_a_journal_nothing_is_done(line: Line, tmp_path: Path, clock):
    class FullDisk:
        def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:
            raise SpoolError("full")

    done = []

    @tool()
    async def act() -> str:
        """Act."""
        done.append(1)
        return "done"

    context = ToolContext("c1", "", line, CallIntents(), tmp_path)
    answer = await CallToolBox({"act": act}, context, FullDisk(), clock).run("act", "{}", "t1")
    assert "error" in json.loads(answer)
    assert done == []


def test_installed_plugins_are_found_and_a_line_gets_what_it_names(line: Line):
    registry = ToolRegistry.discover()
    assert {each.name for each in registry} >= {
        "transfer_to_human",
        "end_call",
        "lookup_order",
        "book_appointment",
    }
    assert list(registry.allowed(line)) == ["lookup_order", "transfer_to_human", "end_call"]


def test_a_line_with_a_tool_that_is_not_installed_is_refused(line: Line):
    with pytest.raises(ConfigurationError, match="lookup_order"):
        ToolRegistry([end_call, transfer_to_human]).allowed(line)


def test_two_tools_of_one_name_are_refused():
    def other() -> Tool:
        @tool(name="greet")
        async def another() -> None:
            """Greet otherwise."""

        return another

    with pytest.raises(ConfigurationError, match="greet"):
        ToolRegistry([greet, other()])


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("48213", {"status": "out for delivery", "arrives": "tomorrow"}),
        ("70 552", {"status": "delayed", "arrives": "Friday"}),
        (31907, {"status": "shipped", "arrives": "Monday"}),
        ("1", {"found": False}),
    ],
)
async def test_orders_are_looked_up(tmp_path: Path, order: object, answer: object):
    trial = await try_tool(lookup_order, {"order_id": order}, data_dir=tmp_path)
    assert trial.answer == answer


async def test_a_time_is_booked_once_and_the_same_wish_again_is_the_same_booking(tmp_path: Path):
    wish = {"day": "Tuesday", "time": "10:30 am"}
    for _ in range(2):
        trial = await try_tool(book_appointment, wish, data_dir=tmp_path)
        assert trial.answer == {"status": "booked"}
    context = ToolContext("c2", "", Line(number="+15550100", business="B", greeting="H"),
                          CallIntents(), tmp_path, "another wish")  # fmt: skip
    assert json.loads(await book_appointment.call(context, wish)) == {"error": "slot taken"}


async def test_a_transfer_and_an_end_are_asked_for(tmp_path: Path, line: Line):
    trial = await try_tool(transfer_to_human, {"reason": "bill"}, data_dir=tmp_path, line=line)
    assert (trial.intents.transfer_to, trial.intents.reason) == ("+15550199", "bill")
    trial = await try_tool(end_call, {}, data_dir=tmp_path)
    assert trial.intents.hang_up


async def test_nobody_to_transfer_to_is_said(tmp_path: Path):
    with pytest.raises(ToolError, match="nobody"):
        await try_tool(transfer_to_human, {"reason": "bill"}, data_dir=tmp_path)
