"""pytest fixtures for authors of tools.

Ask for them in `conftest.py`: `pytest_plugins = ["agent.testing.pytest_plugin"]`, or with
`-p agent.testing.pytest_plugin`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from agent.calls.context import CallIntents
from agent.tools.testing import ToolCall, Trial
from agent.tools.tool import Tool

if TYPE_CHECKING:
    from agent.testing.phone import Phone


class ToolBench:
    """One call, in which a test has tools run. For tests that are plain functions.

    A test that is a coroutine uses `agent.tools.testing.ToolCall`.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._runner = asyncio.Runner()
        self._secrets: dict[str, SecretStr] = {}
        self._call: ToolCall | None = None

    def set_secret(self, name: str, value: str) -> None:
        """What `ToolContext.secret` finds; before the first run."""
        self._secrets[name] = SecretStr(value)

    def __call__(self, tool: Tool, /, **arguments: Any) -> Trial:
        """Have the model call a tool."""
        return self._runner.run(self.call.run(tool, arguments))

    def interrupted(self, tool: Tool, /, **arguments: Any) -> Trial:
        """The caller goes on to something else 0.1 s after the tool was called."""
        return self._runner.run(self.call.interrupted(tool, arguments))

    @property
    def call(self) -> ToolCall:
        """The call."""
        if self._call is None:
            self._call = ToolCall(self.data_dir, secrets=self._secrets)
        return self._call

    @property
    def intents(self) -> CallIntents:
        """What tools have asked to happen: the end of the call, or a transfer."""
        return self.call.intents

    @property
    def journal(self) -> list[tuple[str, dict[str, Any]]]:
        """What the call log gets: kinds of events with their payloads."""
        return self.call.journal.events

    def close(self) -> None:
        """Wait for tools that still run."""
        if self._call is not None:
            self._runner.run(self._call.close())
        self._runner.close()


@pytest.fixture
def tool_call(tmp_path: Path) -> Iterator[ToolBench]:
    """Runs tools as a call would: checked, in time, journalled, each wish once."""
    bench = ToolBench(tmp_path / "data")
    yield bench
    bench.close()


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    """Makes whole calls through the carrier twin, with a model that follows a script."""
    from agent.testing.phone import Phone  # noqa: PLC0415 - seconds to import, for those who call

    return Phone(tmp_path / "phone")
