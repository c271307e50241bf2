"""The example package in a fresh environment: installed, listed, its own tests, a call."""

from __future__ import annotations

import json
import re
import shutil
import site
import sqlite3
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.tools.registry import ToolRegistry
from tests.end_to_end.running import ROOT, Outcome

pytestmark = pytest.mark.end_to_end

EXAMPLE = ROOT / "examples" / "plugin-appointments"
VITA = "from agent.cli.main import app; app()"
CALL = """
import json, sys
from pathlib import Path
from agent.testing.phone import Asks, Phone, Says, Uses

call = Phone(Path(sys.argv[1])).call(
    Asks("Please book me in on Friday at ten. My name is Ann."),
    Uses("book_time", day="Friday", time="10:00", name="Ann"),
    Says("You are booked."),
)
print(json.dumps({"call": call.record.call.id, "heard": call.heard}))
"""

WALK = """
import os, subprocess, sys

offline = {{"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}}
env = os.environ | offline | {{"PATH": {path!r} + ":" + os.environ["PATH"]}}
sys.exit(subprocess.run(["sh", "-ec", {walk!r}], env=env, cwd={folder!r}).returncode)
"""

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plugin")


@pytest.fixture(scope="module")
def inside(folder: Path, environment: dict[str, str]) -> Run:
    """Runs Python in a new environment that has the agent's, and the example installed by pip."""
    home = folder / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    (packages,) = home.glob("lib/python*/site-packages")
    inherited = [str(ROOT), *site.getsitepackages()]
    lines = [f"import site; site.addsitedir({path!r})" for path in inherited[1:]]
    (packages / "agent.pth").write_text("\n".join([inherited[0], *lines]) + "\n")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source)
    env = {name: value for name, value in environment.items() if name != "PYTHONPATH"}

    def run(*arguments: str | Path) -> Outcome:
        done = subprocess.run(
            [str(python), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            cwd=source,
            env=env | {"VITA_DATA_DIR": str(folder / "data"), "COLUMNS": "200"},
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    installed = run("-m", "pip", "install", "--quiet", *options, ".")
    assert installed.code == 0, installed.err
    return run


def test_its_tools_are_there(inside: Run, folder: Path) -> None:
    assert "book_time" not in {tool.name for tool in ToolRegistry.discover()}
    # Beside it, a plugin that fails: it is named, and nothing else suffers, the calls below included.
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    broken = packages / "vita_plugin_broken-0.1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vita-plugin-broken\nVersion: 0.1\n"
    )
    (broken / "entry_points.txt").write_text("[vita_agent.tools]\nbroken = no_such_module.tools\n")
    listed = inside("-c", VITA, "tools", "list")
    assert "broken (no_such_module.tools) cannot be loaded: ModuleNotFoundError" in listed.out
    assert listed.code == 0, listed.err
    for name, effect in (("free_times", "none"), ("book_time", "once")):
        (row,) = [line for line in listed.out.splitlines() if f" {name} " in line]
        assert "vita-plugin-appointments" in row
        assert effect in row


def test_the_walk_in_the_documents_works_as_written(inside: Run, folder: Path) -> None:
    text = (ROOT / "docs" / "developers.md").read_text()
    (walk,) = re.findall(r"^<!-- sample: walk.sh -->\n```sh\n(.*?)^```", text, re.M | re.S)
    bin_ = folder / "venv" / "bin"
    (bin_ / "vita").write_text(f"#!{bin_}/python\n{VITA}\n")
    (bin_ / "pytest").write_text(
        f"#!{bin_}/python\nimport pytest\nraise SystemExit(pytest.main())\n"
    )
    (bin_ / "pip").write_text(f"#!{bin_}/python\nfrom pip import main\nraise SystemExit(main())\n")
    for name in ("vita", "pytest", "pip"):
        (bin_ / name).chmod(0o755)
    script = folder / "walk.py"
    script.write_text(WALK.format(path=str(bin_), folder=str(folder), walk=walk))
    done = inside(script)
    assert done.code == 0, done.out + done.err
    assert "fine: check_room" in done.out
    assert '"free": 2' in done.out
    assert "2 passed" in done.out
    assert "Lakeside Guest House" in done.out


def test_its_own_tests_pass_and_those_in_the_documents(inside: Run, folder: Path) -> None:
    text = (ROOT / "docs" / "developers.md").read_text()
    samples = re.findall(r"^<!-- sample: (\S+) -->\n```python\n(.*?)^```", text, re.M | re.S)
    documents = folder / "documents"
    documents.mkdir()
    for name, code in samples:
        (documents / name).write_text(code)
    done = inside("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", documents)
    assert done.code == 0, done.out + done.err
    assert "7 passed" in done.out


def test_a_call_uses_an_installed_tool_and_the_log_has_it(inside: Run, folder: Path) -> None:
    data = folder / "call"
    done = inside("-c", CALL, data)
    assert done.code == 0, done.err
    said = json.loads(done.out.splitlines()[-1])
    assert said["heard"] == ["Hello.", "You are booked."]
    with sqlite3.connect(data / "calls.db") as log:
        (row,) = log.execute("SELECT call_id, tool, status, pii_result FROM tool_invocations")
    assert row[:3] == (said["call"], "book_time", "ok")
    with sqlite3.connect(data / "diary.db") as diary:
        booked = diary.execute("SELECT number, day, time, name FROM bookings").fetchall()
    assert booked == [(json.loads(row[3])["booking"], "Friday", "10:00", "Ann")]
