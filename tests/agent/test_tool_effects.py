"""What becomes of a tool's run when the caller, the worker or the tool itself breaks off."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agent.calls.context import CallIntents
from agent.calls.line import Line
from agent.errors import ToolError
from agent.tools.host import ToolHost
from agent.tools.runner import CallToolBox
from agent.tools.runs import RunStatus, ToolRun, idempotency_key
from agent.tools.threads import ToolThreads
from agent.tools.tool import Effect, Tool, ToolContext, tool

pytestmark = pytest.mark.integration

CALL = "c1"


class Notes:
    """A journal; `written` is set with every result."""

    def __init__(self) -> None:
        self.results: list[Mapping[str, Any]] = []
        self.intents: list[Mapping[str, Any]] = []
        self.written = asyncio.Event()

    def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:
        (self.intents if kind == "tool_intent" else self.results).append(payload)
        if kind == "tool_result":
            self.written.set()
        return 1


class Shop:
    """A tool that can be held up, and counts what it has done."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.done = 0

    def tool(self, effect: Effect, *, timeout_s: float = 8.0) -> Tool:
        @tool(name="buy", effect=effect, timeout_s=timeout_s)
        async def buy(what: str) -> dict[str, str]:
            """Buy something."""
            self.entered.set()
            await self.may_go_on.wait()
            self.done += 1
            return {"bought": what}

        return buy


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def host() -> AsyncIterator[ToolHost]:
    async with ToolHost({"CRM_KEY": SecretStr("s3cret"), "OTHER": SecretStr("o")}) as host:
        yield host


@pytest.fixture
def box(line: Line, notes: Notes, tmp_path: Path, clock, host: ToolHost):
    def make(*tools: Tool, earlier: Iterable[ToolRun] = ()) -> CallToolBox:
        context = ToolContext(CALL, "", line, CallIntents(), tmp_path)
        by_name = {each.name: each for each in tools}
        return CallToolBox(by_name, context, notes, clock, host=host, earlier=earlier)

    return make


def said(answer: str) -> Any:
    return json.loads(answer)


async def _cancelled(box: CallToolBox, shop: Shop) -> None:
    running = asyncio.get_running_loop().create_task(box.run("buy", '{"what": "tea"}', "t1"))
    await shop.entered.wait()
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


async def test_a_tool_without_effect_ends_when_nobody_waits_for_it(box, shop: Shop, notes: Notes):
    await _cancelled(box(shop.tool("none")), shop)
    assert [result["status"] for result in notes.results] == ["cancelled"]
    shop.may_go_on.set()
    assert shop.done == 0


@pytest.mark.parametrize("effect", ["idempotent", "once"])
async def test_a_tool_with_an_effect_runs_to_its_end_though_nobody_waits(
    box, shop: Shop, notes: Notes, effect: Effect
):
    await _cancelled(box(shop.tool(effect)), shop)
    assert not notes.results
    shop.may_go_on.set()
    await asyncio.wait_for(notes.written.wait(), 10)
    assert [(result["status"], said(result["pii_result"])) for result in notes.results] == [
        ("ok", {"bought": "tea"})
    ]
    assert shop.done == 1


async def test_the_process_waits_for_a_tool_that_must_not_be_cut_short(
    line: Line, notes: Notes, tmp_path: Path, clock, shop: Shop
):
    async with ToolHost() as host:
        context = ToolContext(CALL, "", line, CallIntents(), tmp_path)
        box = CallToolBox({"buy": shop.tool("once")}, context, notes, clock, host=host)
        await _cancelled(box, shop)
        asyncio.get_running_loop().call_later(0.05, shop.may_go_on.set)
    assert shop.done == 1
    assert notes.results[0]["status"] == "ok"


async def test_the_same_wish_is_carried_out_once_and_answered_twice(box, shop: Shop, notes: Notes):
    shop.may_go_on.set()
    tools = box(shop.tool("once"))
    wishes = ('{"what": "tea"}', '{ "what":"tea" }')
    answers = await asyncio.gather(
        *(tools.run("buy", wish, f"t{n}") for n, wish in enumerate(wishes))
    )
    assert answers[0] == answers[1]
    assert shop.done == 1
    assert [result["status"] for result in notes.results] == ["ok", "repeated"]
    await tools.run("buy", '{"what": "milk"}', "t9")
    assert shop.done == 2


async def test_a_lookup_runs_as_often_as_it_is_asked_for(box, shop: Shop):
    shop.may_go_on.set()
    tools = box(shop.tool("none"))
    for number in range(2):
        await tools.run("buy", '{"what": "tea"}', f"t{number}")
    assert shop.done == 2


@pytest.mark.parametrize("status", ["started", "crashed", "timed_out", "cancelled"])
async def test_after_a_crash_a_once_tool_is_not_run_again_and_the_model_is_told_why(
    box, shop: Shop, notes: Notes, status: RunStatus
):
    shop.may_go_on.set()
    arguments = '{"what": "tea"}'
    before = ToolRun("t1", idempotency_key(CALL, "buy", arguments), status)
    tools = box(shop.tool("once"), earlier=[before])
    for tool_call_id in ("t1", "t2"):
        answer = said(await tools.run("buy", arguments, tool_call_id))
        assert "not known whether buy was done" in answer["error"]
    assert shop.done == 0
    assert {result["status"] for result in notes.results} == {"unknown"}


async def test_after_a_crash_a_known_result_is_given_again_and_an_idempotent_tool_runs_again(
    box, shop: Shop
):
    shop.may_go_on.set()
    arguments = '{"what": "tea"}'
    key = idempotency_key(CALL, "buy", arguments)
    done = ToolRun("t1", key, "ok", '{"bought": "earlier"}')
    tools = box(shop.tool("once"), earlier=[done])
    for tool_call_id in ("t1", "t2"):
        assert said(await tools.run("buy", arguments, tool_call_id)) == {"bought": "earlier"}
    assert shop.done == 0
    tools = box(shop.tool("idempotent"), earlier=[ToolRun("t1", key, "started")])
    assert said(await tools.run("buy", arguments, "t1")) == {"bought": "tea"}


async def test_a_once_tool_that_said_it_could_not_may_be_asked_again(box):
    tries = []

    @tool(effect="once")
    async def pay() -> str:
        """Pay."""
        tries.append(1)
        if len(tries) == 1:
            raise ToolError("the card machine is busy")
        return "paid"

    tools = box(pay)
    assert said(await tools.run("pay", "{}", "t1")) == {"error": "the card machine is busy"}
    assert said(await tools.run("pay", "{}", "t2")) == "paid"


async def test_a_timed_out_once_tool_is_not_tried_again(box, shop: Shop):
    tools = box(shop.tool("once", timeout_s=0.05))
    assert "in time" in said(await tools.run("buy", '{"what": "tea"}', "t1"))["error"]
    assert "not known" in said(await tools.run("buy", '{"what": "tea"}', "t2"))["error"]


# Foreign code


@tool(effect="none")
async def leave() -> None:
    """Leave the program."""
    raise SystemExit(3)


@tool(effect="none")
def leave_from_a_thread() -> None:
    """Leave the program."""
    raise SystemExit(3)


@tool(effect="none")
async def cancel_itself() -> None:
    """Cancel itself."""
    raise asyncio.CancelledError


@tool(effect="none")
async def not_json() -> object:
    """Answer what JSON cannot hold."""
    return object()


@tool(effect="none")
async def print_a_lot() -> str:
    """Print."""
    print("a line of a plugin")  # noqa: T201
    return "printed"


@tool(effect="none", timeout_s=0.05)
async def will_not_end() -> None:
    """Ignore that it is cancelled, for a while."""
    for _ in range(20):
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


async def test_nothing_a_plugin_does_ends_the_call(box):
    tools = box(leave, leave_from_a_thread, cancel_itself, not_json, print_a_lot, will_not_end)
    for name in ("leave", "leave_from_a_thread", "not_json"):
        assert said(await tools.run(name, "{}", name)) == {"error": f"{name} failed"}
    for name in ("cancel_itself", "will_not_end"):
        assert "in time" in said(await tools.run(name, "{}", name))["error"]
    assert said(await tools.run("print_a_lot", "{}", "p")) == "printed"


async def test_a_hanging_function_is_left_behind_and_its_tool_stops_until_it_is_back(box):
    released = threading.Event()

    @tool(effect="none", timeout_s=0.05)
    def hang() -> str:
        """Hang."""
        released.wait(20)
        return "back"

    @tool(effect="none")
    def well() -> str:
        """Work well."""
        return "well"

    tools = box(hang, well)
    for number in range(3):
        assert "in time" in said(await tools.run("hang", "{}", f"h{number}"))["error"]
    assert said(await tools.run("hang", "{}", "h3")) == {"error": "hang is out of order right now"}
    assert said(await tools.run("well", "{}", "w")) == "well"
    released.set()
    async with asyncio.timeout(10):
        number = 4
        while said(await tools.run("hang", "{}", f"h{number}")) != "back":
            await asyncio.sleep(0.01)
            number += 1


async def test_there_is_an_end_to_the_number_of_threads():
    released = threading.Event()
    threads = ToolThreads(most=1)
    first = asyncio.get_running_loop().create_task(threads.run("one", released.wait))
    await asyncio.sleep(0)
    with pytest.raises(ToolError, match="no room"):
        await threads.run("two", released.wait)
    released.set()
    assert await first


async def test_a_tool_runs_for_so_many_calls_at_once_and_the_others_wait(box):
    running = most = 0

    @tool(effect="none", at_once=2)
    async def slow(n: int) -> int:
        """Take a moment."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return n

    tools = box(slow)
    answers = await asyncio.gather(*(tools.run("slow", f'{{"n": {n}}}', f"t{n}") for n in range(5)))
    assert answers == ["0", "1", "2", "3", "4"]
    assert most == 2


async def test_a_tool_that_found_no_place_has_not_run(box, host: ToolHost):
    runs = []

    @tool(effect="once", at_once=1, timeout_s=0.1)
    async def hold() -> None:
        """Hold the place."""
        runs.append(1)

    tools = box(hold)
    async with host.place(hold):
        assert said(await tools.run("hold", "{}", "t1")) == {"error": "hold is too busy right now"}
    assert said(await tools.run("hold", "{}", "t2")) is None
    assert runs == [1]


# Secrets


async def test_a_tool_reads_the_secrets_it_declares_and_no_others(box, notes: Notes):
    def reads(name: str, wanted: str) -> Tool:
        @tool(name=name, secrets=["CRM_KEY", "UNSET"], effect="none")
        async def read(context: ToolContext) -> str:
            """Read a secret."""
            return context.secret(wanted)[::-1]

        return read

    tools = box(reads("good", "CRM_KEY"), reads("bad", "OTHER"), reads("unset", "UNSET"))
    assert said(await tools.run("good", "{}", "t1")) == "terc3s"
    assert said(await tools.run("bad", "{}", "t2")) == {"error": "bad failed"}
    assert said(await tools.run("unset", "{}", "t3")) == {"error": "this is not set up"}
    assert "s3cret" not in repr(notes.results) + repr(notes.intents)


def test_what_is_not_set_is_known_before_a_call(host: ToolHost):
    @tool(secrets=["CRM_KEY", "UNSET"])
    async def read() -> None:
        """Read."""

    assert host.missing_secrets(read) == ["UNSET"]
