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

ROOMS = {{"garden": 4, "lake": 2}}


@tool(effect="none", timeout_s=3)
async def free_beds(
    room: Annotated[str, Field(description="name of the room, such as garden")],
) -> dict[str, int]:
    """Tell how many beds of a room are free tonight."""
    if room.lower() not in ROOMS:
        raise ToolError(f"there is no room {{room}}; there is: {{', '.join(ROOMS)}}")
    return {{"free": ROOMS[room.lower()]}}
'''

_TEST = """\
from agent.testing.phone import Asks, Phone, Says, Uses
from agent.testing.pytest_plugin import ToolBench
from {module}.tools import free_beds


def test_beds_are_counted(tool_call: ToolBench) -> None:
    assert tool_call(free_beds, room="Lake").answer == {{"free": 2}}
    assert "no room" in tool_call(free_beds, room="moon").answer["error"]


def test_a_caller_hears_of_them(phone: Phone) -> None:
    call = phone.call(
        Asks("How many beds are free in the lake room?"),
        Uses(free_beds, room="lake"),
        Says("Two beds are free."),
    )
    assert call.uses[0].answer == {{"free": 2}}
    assert "Two beds are free." in call.heard
"""

_README = """\
# {name}

```sh
pip install -e '.[test]'
vita tools list
vita tools validate {name} --sample 'free_beds={{"room": "lake"}}'
vita tools try free_beds '{{"room": "lake"}}'
pytest
```

Then name `free_beds` under `tools` of a line.
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
        f"src/{module}/__init__.py": '"""Tools for vita-agent."""\n',
        f"src/{module}/tools.py": _TOOLS,
        "tests/test_tools.py": _TEST,
    }
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(name=name, module=module), encoding="utf-8")
    return [folder / path for path in files]
