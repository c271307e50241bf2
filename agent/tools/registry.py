"""Finds tools: every entry point of the group `vita_agent.tools` brings one or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from agent.calls.line import Line
from agent.errors import ConfigurationError
from agent.tools.tool import Tool

GROUP = "vita_agent.tools"


class ToolRegistry:
    """All installed tools by name."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for each in tools:
            self.add(each)

    @classmethod
    def discover(cls) -> ToolRegistry:
        """Load every installed plugin.

        Raises:
            ConfigurationError: A plugin cannot be loaded, brings no tool, or takes a name twice.
        """
        registry = cls()
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            found = _tools_of(_load(point))
            if not found:
                raise ConfigurationError(
                    f"The tool plugin {point.name} ({point.value}) holds no tool."
                )
            for each in found:
                registry.add(each)
        return registry

    def add(self, tool: Tool) -> None:
        """Add one tool.

        Raises:
            ConfigurationError: Another tool has its name.
        """
        if self._tools.get(tool.name, tool) is not tool:
            raise ConfigurationError(f"Two tools are named {tool.name}: rename one of them.")
        self._tools[tool.name] = tool

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def allowed(self, line: Line) -> dict[str, Tool]:
        """The tools a line may use, in the line's order.

        Raises:
            ConfigurationError: The line names a tool that is not installed.
        """
        missing = [name for name in line.tools if name not in self._tools]
        if missing:
            raise ConfigurationError(
                f"The line {line.entry} names the tool {missing[0]}, which is not installed: "
                "`vita tools list` shows what is."
            )
        return {name: self._tools[name] for name in line.tools}


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigurationError(
            f"The tool plugin {point.name} ({point.value}) cannot be loaded: {error}."
        ) from error


def _tools_of(plugin: Any) -> list[Tool]:
    if isinstance(plugin, Tool):
        return [plugin]
    values = vars(plugin).values() if isinstance(plugin, ModuleType) else plugin
    return [value for value in values if isinstance(value, Tool)]
