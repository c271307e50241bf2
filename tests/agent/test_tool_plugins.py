"""Plugins from other packages: found, refused one by one, and their functions' signatures."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from agent.calls.line import Line
from agent.errors import ConfigurationError, ToolError
from agent.tools.builtin import end_call
from agent.tools.registry import GROUP, ToolRegistry
from agent.tools.tool import ToolContext, tool

pytestmark = pytest.mark.integration

GOOD = '''
from agent.tools.tool import tool

@tool(effect="none")
async def {name}() -> str:
    """Say something."""
    return "something"
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A registry of plugins given as source."""
    monkeypatch.syspath_prepend(tmp_path)

    def discover(**sources: str) -> ToolRegistry:
        for name, source in sources.items():
            (tmp_path / f"plugin_{name}.py").write_text(source)
        points = [EntryPoint(name, f"plugin_{name}", GROUP) for name in sources]
        return ToolRegistry.discover([*points, EntryPoint("builtin", "agent.tools.builtin", GROUP)])

    yield discover
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("def", "SyntaxError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "holds no tool"),
        (GOOD.format(name="end_call"), "Two tools are named end_call"),
        (GOOD.format(name="juggle").replace("Say", "").replace("something.", ""), "docstring"),
    ],
)
def test_a_plugin_that_fails_is_named_with_its_reason_and_the_others_load(
    plugins, line: Line, source: str, reason: str
):
    registry = plugins(bad=source, good=GOOD.format(name="juggle_well"))
    assert {"juggle_well", "end_call"} <= {each.name for each in registry}
    (failure,) = registry.failures
    assert failure.plugin == "bad"
    assert reason in failure.reason
    wants = line.model_copy(update={"tools": ("juggle_well", "juggle")})
    assert list(registry.available(wants)) == ["juggle_well"]
    with pytest.raises(ConfigurationError) as refused:
        registry.allowed(wants)
    for word in ("juggle", line.number, "plugin bad", reason):
        assert word in str(refused.value)


def test_a_tool_knows_where_it_comes_from_and_an_imported_one_is_no_clash(plugins):
    both = "from agent.tools.builtin import end_call\n" + GOOD.format(name="juggle")
    registry = plugins(more=both)
    assert not registry.failures
    assert registry.get("juggle").source == "plugin_more"
    assert registry.get("end_call") is not None
    with pytest.raises(ConfigurationError, match="There is no tool dance"):
        registry.get("dance")


# Signatures


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Pizza:
    size: Literal["small", "large"]
    extras: list[str]


def test_descriptions_come_from_the_docstring_unless_a_type_has_its_own():
    @tool()
    async def order(  # noqa: PLR0917 - the tool's arguments are given by name
        pizza: Pizza,
        colour: Colour,
        count: Annotated[int, Field(ge=1, le=9, description="how many")] = 1,
        note: str | None = None,
        schema: str = "",
        model_name: str = "",
    ) -> None:
        """Order a pizza.

        Args:
            pizza: What it is,
                at length.
            count: not this
            note (str, optional): What to tell the cook.
        """

    parameters = order.spec()["parameters"]
    assert parameters["required"] == ["pizza", "colour"]
    properties = parameters["properties"]
    assert list(properties) == ["pizza", "colour", "count", "note", "schema", "model_name"]
    assert properties["pizza"]["description"] == "What it is, at length."
    assert properties["count"]["description"] == "how many"
    assert (properties["count"]["minimum"], properties["count"]["maximum"]) == (1, 9)
    assert properties["note"]["description"] == "What to tell the cook."
    assert parameters["$defs"]["Colour"]["enum"] == ["red", "blue"]
    given = order.validate('{"pizza": {"size": "small", "extras": []}, "colour": "red"}')
    assert given == {
        "pizza": Pizza("small", []),
        "colour": Colour.RED,
        "count": 1,
        "note": None,
        "schema": "",
        "model_name": "",
    }
    with pytest.raises(ToolError, match=r"order: pizza\.size"):
        order.validate('{"pizza": {"size": "huge", "extras": []}, "colour": "red"}')


class Opaque:
    pass


def _refused(function: Any, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        tool(**options)(function)
    return str(refused.value)


def test_what_cannot_be_a_tool_is_refused_with_the_parameters_name():
    async def many(*values: int) -> None:
        """Do."""

    async def named(**values: int) -> None:
        """Do."""

    async def positional(value: int, /) -> None:
        """Do."""

    async def opaque(first: int, thing: Opaque) -> None:
        """Do."""

    async def fielded(value: int = Field(3, ge=1)) -> None:
        """Do."""

    async def method(self) -> None:  # type: ignore[no-untyped-def]
        """Do."""

    async def streams() -> Any:
        """Do."""
        yield 1

    async def fine(context: ToolContext) -> None:
        """Do."""

    assert "values takes any number" in _refused(many)
    assert "values takes any name" in _refused(named)
    assert "value is positional-only" in _refused(positional)
    assert "thing has a type without a JSON form (Opaque)" in _refused(opaque)
    assert "Annotated" in _refused(fielded)
    assert "bound method" in _refused(method)
    assert "returns its answer" in _refused(streams)
    assert "letters, digits" in _refused(fine, name="two words")
    assert "effect is one of none, idempotent, once" in _refused(fine, effect="maybe")
    assert "capitals" in _refused(fine, secrets=["crm key"])
    assert "at least 1" in _refused(fine, at_once=0)
    assert "brackets" in _refused("a string")
    namespace: dict[str, Any] = {}
    exec("async def lost(value: 'Nowhere') -> None:\n    'Do.'", namespace)  # noqa: S102
    assert "a type cannot be found (name 'Nowhere' is not defined)" in _refused(namespace["lost"])


def test_a_bound_method_is_a_tool_and_a_tool_is_still_a_function():
    class Till:
        def __init__(self) -> None:
            self.total = 0

        def add(self, amount: int) -> int:
            """Add an amount."""
            self.total += amount
            return self.total

    till = Till()
    add = tool()(till.add)
    assert list(add.spec()["parameters"]["properties"]) == ["amount"]
    assert add(3) == 3
    assert end_call.effect == "idempotent"
