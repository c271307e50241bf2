"""`vita tools …` as an author of tools uses it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import structlog
import yaml
from typer.testing import CliRunner

from agent.cli.main import app

pytestmark = pytest.mark.integration

SHOP = '''
import asyncio, time
from agent.errors import ToolError
from agent.tools.tool import ToolContext, tool

count = 0

@tool(effect="none", secrets=["SHOP_KEY"])
async def price(context: ToolContext, thing: str, many: int = 1) -> dict[str, int]:
    """Tell a price."""
    if thing != "tea":
        raise ToolError(f"there is no {thing}")
    return {"dollars": 3 * many, "key": len(context.secret("SHOP_KEY"))}

@tool(effect="idempotent")
async def reserve(thing: str) -> dict[str, int]:
    """Reserve a thing."""
    global count
    count += 1
    return {"reservations": count}

@tool(effect="none")
async def stop_the_world() -> str:
    """Keep everybody waiting."""
    time.sleep(0.8)
    return "done"

@tool(effect="none", timeout_s=0.1)
async def late() -> None:
    """Be late."""
    await asyncio.sleep(60)
'''


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def vita(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VITA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("VITA_TOOL_SECRET_SHOP_KEY", "12345")
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "shop_tools.py"
    file.write_text(SHOP)
    broken = tmp_path / "broken_tools.py"
    broken.write_text("import no_such_module")

    def run(*words: str) -> tuple[int, str]:
        given = [{"SHOP": str(file), "BROKEN": str(broken)}.get(word, word) for word in words]
        done = CliRunner().invoke(app, ["tools", *given])
        assert not done.exception or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


def test_installed_tools_are_listed_with_what_they_change(vita):
    code, out = vita("list")
    assert code == 0
    (row,) = [line for line in out.splitlines() if "lookup_order" in line]
    for word in ("vita-agent", "order_id", "none", "8 s"):
        assert word in row


def test_a_good_plugin_is_fine_and_a_missing_secret_is_a_warning(vita, monkeypatch):
    sample = 'price={"thing": "tea"}'
    assert vita("validate", "SHOP", "--sample", sample)[0] == 0
    monkeypatch.delenv("VITA_TOOL_SECRET_SHOP_KEY")
    code, out = vita("validate", "SHOP")
    assert code == 0
    assert "VITA_TOOL_SECRET_SHOP_KEY" in out
    code, out = vita("validate", "SHOP", "--sample", sample)
    assert (code, "not set up" in out) == (1, True)


@pytest.mark.parametrize(
    ("plugin", "sample", "says"),
    [
        ("SHOP", 'price={"thing": "milk"}', "there is no milk"),
        ("SHOP", 'price={"colour": "red"}', "refused"),
        ("SHOP", 'reserve={"thing": "tea"}', "says idempotent"),
        ("SHOP", "stop_the_world={}", "it stops all calls"),
        ("SHOP", "late={}", "timed_out"),
        ("BROKEN", "", "No module named 'no_such_module'"),
        ("no_such_plugin", "", "No module named 'no_such_plugin'"),
    ],
)
def test_what_breaks_the_contract_is_said_and_is_exit_code_1(vita, plugin, sample, says):
    code, out = vita("validate", plugin, *(["--sample", sample] if sample else []))
    assert code == 1, out
    assert says in out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("price", '{"thing": "tea", "many": 2}', "--plugin", "SHOP"), 0, '"dollars": 6'),
        (("price", '{"thing": "milk"}', "--plugin", "SHOP"), 1, "there is no milk"),
        (("price", "tea", "--plugin", "SHOP"), 2, "not JSON"),
        (("price", "[1]", "--plugin", "SHOP"), 2, "JSON object"),
        (("price", "{}", "--plugin", "none.py"), 2, "no file none.py"),
        (("juggle",), 2, "There is no tool juggle"),
        (("end_call",), 0, "the call is ended"),
        (("transfer_to_human", '{"reason": "bill"}'), 0, "+15550199"),
        (("lookup_order", '{"order_id": "48213"}', "--line", "+15559999"), 1, "+15559999"),
    ],
)
def test_a_tool_is_tried_and_the_exit_code_tells_how_it_went(vita, words, code, says):
    came, out = vita("try", *words)
    assert came == code, out
    assert says in out


def test_a_line_of_a_file_is_what_the_tool_sees(vita, tmp_path: Path):
    lines = tmp_path / "lines.yaml"
    lines.write_text('lines: [{number: "+15550100", business: B, greeting: Hi}]\n')
    options = ("--line", "+15550100", "--lines", str(lines))
    code, out = vita("try", "transfer_to_human", '{"reason": "bill"}', *options)
    assert (code, "nobody to transfer to" in out) == (1, True)


@pytest.fixture
def tools_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = [sys.executable, str(Path(__file__).with_name("mcp_shop.py"))]
    servers = [
        {"name": "shop", "command": program, "tools": {"price": {"effect": "none"}}},
        {"name": "away", "command": ["/no/such/program"], "tools": {"never": {}}},
    ]
    file = tmp_path / "tools.yaml"
    file.write_text(yaml.safe_dump({"servers": servers}))
    monkeypatch.setenv("VITA_TOOLS_FILE", str(file))


@pytest.mark.usefixtures("tools_file")
def test_tools_of_mcp_servers_are_listed_and_tried_and_one_that_is_away_is_named(vita):
    code, out = vita("list")
    assert code == 0
    assert "MCP shop" in next(line for line in out.splitlines() if " price " in line)
    assert "away: the MCP server away: " in out
    code, out = vita("try", "price", '{"thing": "tea"}')
    assert (code, '"dollars": 3' in out) == (0, True)


@pytest.mark.usefixtures("tools_file")
def test_lines_may_name_tools_of_servers_that_are_away(vita, tmp_path: Path):
    lines = tmp_path / "lines.yaml"
    for tool, code in (("never", 0), ("none", 2)):
        text = f'lines: [{{number: "+15550100", business: B, greeting: Hi, tools: [{tool}]}}]\n'
        lines.write_text(text)
        done = CliRunner().invoke(app, ["lines", "list", "--file", str(lines)])
        assert done.exit_code == code, done.output


def test_a_new_package_validates_as_it_is(vita, tmp_path: Path):
    folder = tmp_path / "guest-house"
    code, out = vita("new", str(folder))
    assert code == 0, out
    tools = folder / "src" / "guest_house" / "tools.py"
    code, out = vita("validate", str(tools), "--sample", 'check_room={"day": "Friday"}')
    assert code == 0, out
    code, out = vita("new", str(folder))
    assert (code, "not empty" in out) == (2, True)
