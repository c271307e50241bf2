"""Finds tools: every entry point of the group `vita_agent.tools` brings one or many.

A plugin that cannot be loaded is noted with its reason; the others are loaded all the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from typing_extensions import override

from agent.calls.line import Line
from agent.errors import ConfigurationError
from agent.log import get_logger
from agent.tools.tool import Tool

log = get_logger(__name__)

GROUP = "vita_agent.tools"


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that brings nothing, or not everything: `reason` is a sentence."""

    plugin: str
    module: str
    reason: str

    @override
    def __str__(self) -> str:
        """The plugin and its reason, as one sentence without its full stop."""
        return f"the tool plugin {self.plugin} ({self.module}) {self.reason}"


class ToolRegistry:
    """All installed tools by name.

    Attributes:
        failures: Plugins that could not be used.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self.failures: list[PluginFailure] = []
        self._tools: dict[str, Tool] = {}
        self._promised: set[str] = set()
        for each in tools:
            self.add(each)

    @classmethod
    def discover(cls, points: Iterable[EntryPoint] | None = None) -> ToolRegistry:
        """Load every installed plugin; what went wrong is in `failures` and in the log.

        Args:
            points: The plugins; everything that is installed when absent.
        """
        registry = cls()
        found = entry_points(group=GROUP) if points is None else points
        for point in sorted(found, key=_order):
            source = point.dist.name if point.dist is not None else point.value
            registry.load(point.name, point.value, point.load, source=source)
        return registry

    def load(self, plugin: str, module: str, load: Callable[[], Any], *, source: str) -> None:
        """Add the tools of one plugin; what goes wrong is added to `failures`.

        Args:
            plugin: Its name.
            module: Where it is.
            load: Imports it: a tool, several, or a module with tools in it.
            source: What its tools are said to come from.
        """
        try:
            tools = _tools_of(load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code, run at import
            self.fail(plugin, module, f"cannot be loaded: {_reason(error)}")
            return
        if not tools:
            self.fail(plugin, module, "holds no tool")
        for each in tools:
            try:
                self.add(replace(each, source=source))
            except ConfigurationError as error:
                self.fail(plugin, module, f"is in conflict: {_reason(error)}")

    def add(self, tool: Tool) -> None:
        """Add one tool.

        Raises:
            ConfigurationError: Another tool has its name.
        """
        if (other := self._tools.get(tool.name)) is not None and other.body is not tool.body:
            by = f" (one of {other.source})" if other.source else ""
            raise ConfigurationError(f"Two tools are named {tool.name}{by}: rename one of them.")
        self._tools[tool.name] = tool

    def put(self, tool: Tool) -> None:
        """Add a tool, or replace the one of the same name from the same source.

        Raises:
            ConfigurationError: A tool from elsewhere has its name.
        """
        other = self._tools.get(tool.name)
        if other is not None and other.source == tool.source:
            del self._tools[tool.name]
        self.add(tool)

    def promise(self, names: Iterable[str]) -> None:
        """These tools may come later: lines may name them."""
        self._promised.update(names)

    def fail(self, plugin: str, module: str, reason: str) -> None:
        """Note that a plugin, or one of its tools, cannot be used."""
        failure = PluginFailure(plugin, module, reason)
        if failure not in self.failures:
            self.failures.append(failure)
            log.error("tool_plugin_failed", plugin=plugin, module=module, reason=reason)

    def get(self, name: str) -> Tool:
        """The tool of this name.

        Raises:
            ConfigurationError: There is none; the sentence tells which plugins failed.
        """
        if name not in self._tools:
            raise ConfigurationError(f"There is no tool {name}: {self._hint()}.")
        return self._tools[name]

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def allowed(self, line: Line) -> dict[str, Tool]:
        """The tools a line names that are there, in its order. For whoever changes lines.

        Raises:
            ConfigurationError: The line names a tool that is not there and not promised.
        """
        if missing := [name for name in self._missing(line) if name not in self._promised]:
            close = difflib.get_close_matches(missing[0], [*self._tools, *self._promised], n=1)
            meant = f"perhaps {close[0]} is meant; " if close else ""
            raise ConfigurationError(
                f"The line {line.entry} names the tool {missing[0]}, which is not installed: "
                f"{meant}{self._hint()}."
            )
        return {name: self._tools[name] for name in line.tools if name in self._tools}

    def available(self, line: Line) -> dict[str, Tool]:
        """The tools of a line that are there. A number is answered also when one is missing."""
        for name in self._missing(line):
            log.error("line_without_tool", line=line.entry, tool=name, reason=self._hint())
        return {name: self._tools[name] for name in line.tools if name in self._tools}

    def _missing(self, line: Line) -> list[str]:
        return [name for name in line.tools if name not in self._tools]

    def _hint(self) -> str:
        return "; ".join([*map(str, self.failures), "`vita tools list` shows what is installed"])


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    """Our own come first: nobody takes the name of a built-in tool away."""
    return not point.value.startswith("agent."), point.name, point.value


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, ConfigurationError):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _tools_of(plugin: Any) -> list[Tool]:
    if isinstance(plugin, Tool):
        return [plugin]
    values = vars(plugin).values() if isinstance(plugin, ModuleType) else plugin
    found = {id(value.body): value for value in values if isinstance(value, Tool)}
    return list(found.values())
