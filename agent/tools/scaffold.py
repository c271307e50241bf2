"""Writes a small package with one tool: something to change, not something to read."""

from __future__ import annotations

import re
from pathlib import Path

from agent.errors import ConfigurationError

_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "Tools for vita-agent"
requires-python = ">=3.11"
dependencies = ["vita-agent"]

[project.optional-dependencies]
test = ["pytest>=9,<10"]

[project.entry-points."vita_agent.tools"]
{name} = "{module}.tools"

[tool.hatch.build]
dev-mode-dirs = ["src"]

[tool.hatch.build.targets.wheel]
packages = ["src/{module}"]

[tool.pytest.ini_options]
addopts = ["-p", "agent.testing.pytest_plugin"]
testpaths = ["tests"]
"""

_TOOLS = '''\
"""Tools the model may use on the phone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent.errors import ToolError
from agent.tools.tool import tool

FREE_ROOMS = {{"Friday": 2, "Saturday": 0, "Sunday": 5}}


@tool(effect="none", timeout_s=3)
async def check_room(
    day: Annotated[str, Field(description="the arrival day")],
) -> dict[str, int]:
    """Check if a room is free."""
    free = FREE_ROOMS.get(day.title(), 0)
    if not free:
        raise ToolError("full")
    return {{"free": free}}
'''

_TEST = '''\
"""The tool as a call runs it, and a whole call."""

from __future__ import annotations

from agent.testing.phone import Asks, Phone, Says, Uses
from agent.testing.pytest_plugin import ToolBench
from {module}.tools import check_room


def test_rooms_are_counted(tool_call: ToolBench) -> None:
    assert tool_call(check_room, day="friday").answer == {{"free": 2}}
    assert tool_call(check_room, day="Saturday").answer == {{"error": "full"}}


def test_a_caller_hears_of_them(phone: Phone) -> None:
    call = phone.call(
        Asks("Do you have a room for Friday?"),
        Uses(check_room, day="Friday"),
        Says("We have two rooms free on Friday."),
    )
    assert call.uses[0].answer == {{"free": 2}}
    assert "We have two rooms free on Friday." in call.heard
'''

_LINES = """\
lines:
  - number: "+15550100"
    business: Lakeside Guest House
    greeting: Hello, this is Lakeside Guest House. How can I help you?
    facts:
      - "Breakfast: 7 am to 10 am"
    tools: [check_room, end_call]
"""

_README = """\
# {name}

```sh
pip install -e '.[test]'
vita tools list
vita tools validate {name} --sample 'check_room={{"day": "Friday"}}'
vita tools try check_room '{{"day": "Friday"}}'
pytest
```

`lines.yaml` is a line that may use it: `vita chat --lines lines.yaml --line +15550100`.
"""


def write_package(folder: Path) -> list[Path]:
    """Write the package; returns its files.

    Raises:
        ConfigurationError: The folder is not empty, or its name is none for a package.
    """
    name = folder.resolve().name.lower()
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ConfigurationError(
            f"{name} is no name for a package: take letters, digits and -, a letter first."
        )
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"The folder {folder} is not empty: give a new one.")
    module = name.replace("-", "_")
    files = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        "lines.yaml": _LINES,
        f"src/{module}/__init__.py": '"""Tools for vita-agent."""\n',
        f"src/{module}/tools.py": _TOOLS,
        "tests/test_tools.py": _TEST,
    }
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(name=name, module=module), encoding="utf-8")
    return [folder / path for path in files]
