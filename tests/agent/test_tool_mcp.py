"""Tools of MCP servers: in this process, as a program of their own, and over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client
from pydantic import SecretStr

from agent.api import CallControl, CallOutcome, MediaLeg
from agent.bootstrap import build
from agent.calls.context import CallContext
from agent.calls.line import Line
from agent.errors import ConfigurationError
from agent.settings import load_settings
from agent.tasks import TaskOwner
from agent.tools import mcp_server
from agent.tools.mcp_config import McpServerConfig, read_tools_file
from agent.tools.mcp_schema import McpArguments
from agent.tools.mcp_server import McpServer
from agent.tools.registry import ToolRegistry
from agent.tools.testing import ToolCall
from agent.tools.tool import tool
from connectors.server import AppServer, listen
from tests.agent.mcp_shop import shop

pytestmark = pytest.mark.integration

PROGRAM = [sys.executable, str(Path(__file__).with_name("mcp_shop.py"))]
TOOLS: dict[str, Any] = {
    "price": {"effect": "none"},
    "order": {"rename": "order_thing"},
    "whoami": {"effect": "none"},
    "die": {},
}
SECRETS = {"SHOP_KEY": SecretStr("key of the shop")}


def config(**keys: Any) -> McpServerConfig:
    return McpServerConfig.model_validate({"name": "shop", "tools": TOOLS, **keys})


@asynccontextmanager
async def running(
    about: McpServerConfig,
    registry: ToolRegistry | None = None,
    connect: Callable[[], Client] | None = None,
) -> AsyncIterator[tuple[ToolRegistry, McpServer]]:
    registry = registry or ToolRegistry()
    server = McpServer(about, registry, SECRETS, connect=connect)
    async with asyncio.timeout(60), TaskOwner("test") as tasks:
        _ = tasks.spawn(server.run(), name="mcp")
        await server.tried.wait()
        yield registry, server


class NoTalk:
    """Says nothing."""

    async def run(self, context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        return "agent_ended"


@pytest.fixture
def here() -> Callable[[], Client]:
    return lambda: Client(shop())


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[ToolCall]:
    call = ToolCall(tmp_path)
    yield call
    await call.close()


async def test_allowed_tools_are_offered_with_their_schema_and_no_others(here):
    async with running(config(url="http://x/"), connect=here) as (registry, _):
        assert {each.name for each in registry} == {"price", "order_thing", "whoami", "die"}
        price = registry.get("price")
        assert price.description == "Tell a price."
        assert (price.effect, price.source) == ("none", "MCP shop")
        assert registry.get("order_thing").effect == "once"
        assert price.spec()["parameters"]["required"] == ["thing"]


async def test_a_tool_is_run_with_the_calls_key_and_its_arguments_are_checked(here, call):
    async with running(config(url="http://x/"), connect=here) as (registry, _):
        price, order = registry.get("price"), registry.get("order_thing")
        assert (await call.run(price, {"thing": "tea"})).answer == {"dollars": 3}
        assert (await call.run(price, {"thing": 12345})).answer == {"dollars": 5}
        refused = await call.run(price, {"thing": "tea", "many": "two"})
        assert refused.status == "refused"
        assert "price: many: 'two' is not of type 'integer'" in refused.answer["error"]
        ordered = await call.run(order, {"thing": "tea"})
        _, intent = call.journal.events[-2]
        assert ordered.answer == {"result": f"tea ordered as {intent['idempotency_key'][:4]}"}
        assert (await call.run(order, {"thing": "tea"})).status == "repeated"


async def test_a_program_gets_its_secrets_and_one_that_died_is_started_again(call, monkeypatch):
    monkeypatch.setattr(mcp_server, "FIRST_PAUSE_S", 0.05)
    about = config(command=PROGRAM, environment={"SHOP_KEY": "SHOP_KEY"})
    async with running(about) as (registry, server):
        assert server.failure == ""
        who, die = registry.get("whoami"), registry.get("die")
        assert (await call.run(who, {})).answer == {"result": "key of the shop"}
        assert (await call.run(die, {})).status == "crashed"
        assert (await call.run(die, {})).status == "unknown"
        while True:
            answer = (await call.run(who, {})).answer
            if "error" not in answer:
                break
            await asyncio.sleep(0.05)
        assert answer == {"result": "key of the shop"}


async def test_a_server_over_http_gets_its_bearer_token(call):
    seen: list[str] = []
    inner = shop().streamable_http_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await inner(scope, receive, send)

    with listen("127.0.0.1", 0) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/mcp"
        async with (
            AppServer(app, bound=bound),
            running(config(url=url, bearer="SHOP_KEY")) as (registry, server),
        ):
            assert server.failure == ""
            assert (await call.run(registry.get("price"), {"thing": "tea"})).answer == {
                "dollars": 3
            }
    assert set(seen) == {"Bearer key of the shop"}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"url": "http://127.0.0.1:9/mcp"}, ""),
        ({"command": ["/no/such/program"]}, "no/such/program"),
        (
            {"command": [sys.executable, "-c", "import time; time.sleep(60)"], "connect_s": 0.5},
            "time",
        ),
        ({"url": "http://127.0.0.1:9/mcp", "bearer": "NOT_SET"}, "VITA_TOOL_SECRET_NOT_SET"),
    ],
)
async def test_a_server_that_is_away_costs_its_own_tools_and_nothing_else(
    line: Line, keys: dict[str, Any], reason: str
):
    registry = ToolRegistry.discover()
    about = config(**keys)
    registry.promise(about.names())
    async with running(about, registry) as (_, server):
        assert server.failure
        assert reason in server.failure
        wants = line.model_copy(update={"tools": ("end_call", "price")})
        assert list(registry.allowed(wants)) == ["end_call"]
        assert list(registry.available(wants)) == ["end_call"]


async def test_a_tool_that_was_there_answers_with_a_sentence_once_its_server_is_away(call):
    about = config(command=PROGRAM)
    async with running(about) as (registry, server):
        assert server.failure == ""
    gone = await call.run(registry.get("price"), {"thing": "tea"})
    assert gone.answer == {"error": "shop cannot be reached right now"}


async def test_the_agent_connects_its_servers_and_a_line_gets_their_tools(
    tmp_path: Path, line: Line
):
    file = tmp_path / "tools.yaml"
    server = {"name": "shop", "command": PROGRAM, "tools": TOOLS}
    file.write_text(yaml.safe_dump({"servers": [server]}))
    lines = tmp_path / "lines.yaml"
    entry = {"number": line.number, "business": "B", "greeting": "Hi", "tools": ["price"]}
    lines.write_text(yaml.safe_dump({"lines": [entry]}))
    settings = load_settings(
        profile="test", data_dir=tmp_path / "data", lines_file=lines, tools_file=file
    )
    async with build(settings, runner=NoTalk()) as app, asyncio.timeout(60):
        called = app.lines.find(line.number)
        while "price" not in app.registry.available(called):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_an_installed_tool_keeps_its_name(here):
    @tool(effect="none")
    async def price() -> str:
        """Tell our own price."""
        return "ours"

    registry = ToolRegistry([price])
    async with running(config(url="http://x/"), registry, here):
        assert registry.get("price").body is price.body
        assert "Two tools are named price" in registry.failures[0].reason


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "objekt"}, "is wrong"),
        ({"properties": {"a": {"$ref": "https://example.com/a"}}}, "outside"),
        ({"description": "x" * 20_000}, "too long"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says):
        McpArguments("odd", schema)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("servers: [{name: a, tools: {x: {}}}]", "either a command or a url"),
        ("servers: [{name: a, url: ftp://a, tools: {x: {}}}]", "servers.0.url"),
        ("servers: [{name: a, url: http://a, tools: {}}]", "servers.0.tools"),
        ("servers: [{name: a, url: http://a, tools: {x: {efect: none}}}]", "efect"),
        ("servers: [{name: a, url: http://a, bearer: key, tools: {x: {}}}]", "servers.0.bearer"),
        ("servers: [{name: a, command: [a], bearer: K, tools: {x: {}}}]", "belongs to a url"),
        ("servers: [{name: a, url: http://a, environment: {A: A}, tools: {x: {}}}]", "a command"),
        (
            "servers: [{name: a, url: http://a, tools: {x: {}}},"
            " {name: b, url: http://b, tools: {x: {}}}]",
            "two tools are named x: rename",
        ),
        ("[", "is not YAML"),
    ],
)
def test_a_wrong_tools_file_names_the_key(tmp_path: Path, text: str, says: str):
    file = tmp_path / "tools.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_tools_file(file)
    assert says in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_tools_file_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="VITA_TOOLS_FILE"):
        read_tools_file(tmp_path / "none.yaml")
