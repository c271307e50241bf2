"""The rules of the house: imports, sizes, markers, and what the documents promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import click
import pytest
import typer

from agent.calls.line import Line
from agent.calls.line_source import load_lines
from agent.cli.main import app
from agent.settings import Settings
from agent.tools.mcp_config import McpServerConfig, read_tools_file
from agent.tools.runs import RunStatus

pytestmark = pytest.mark.architecture

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PACKAGES = ("agent", "connectors", "vita_model")
LONGEST_FILE = 500
MARKERS = {"unit", "integration", "model", "end_to_end", "architecture", "slow"}


def test_import_rules_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_files_are_short() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert not {name: size for name, size in sizes.items() if size > LONGEST_FILE}


def test_every_test_module_has_one_marker() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        marks = re.findall(r"^pytestmark = pytest\.mark\.(\w+)$", path.read_text(), re.MULTILINE)
        assert len(marks) == 1, path
        assert marks[0] in MARKERS, path


def _project() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"main": project["dependencies"], **project["optional-dependencies"]}


def _requirements(name: str) -> set[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_the_images_install_what_the_project_needs() -> None:
    project = _project()
    agent, model = _requirements("agent.txt"), _requirements("model.txt")
    assert agent | model == {*project["main"]}
    assert not {line for line in agent if line.startswith(("torch", "transformers"))}
    assert not {line for line in model if line.startswith(("pipecat", "twilio", "redis"))}


@pytest.mark.parametrize(
    ("requirements", "packages"),
    [("agent.txt", ("agent", "connectors", "migrations")), ("model.txt", ("vita_model",))],
)
def test_an_image_has_what_its_code_imports(requirements: str, packages: tuple[str, ...]) -> None:
    """Only top-level imports count, and not those of training, evaluation, benchmarks and tests of plugins."""
    installed = {
        re.split(r"[\[=<>~ ]", line)[0].replace("-", "_") for line in _requirements(requirements)
    }
    names = {"pipecat_ai": "pipecat", "pyyaml": "yaml", "pillow": "PIL", "argon2_cffi": "argon2"}
    known = {names.get(name, name) for name in installed}
    known |= {*packages, "starlette", "typing_extensions", "numpy", "click"}
    known |= sys.stdlib_module_names
    missing: dict[str, str] = {}
    for package in packages:
        for path in (ROOT / package).rglob("*.py"):
            if not {"training", "evaluation", "testing", "bench"} & {*path.relative_to(ROOT).parts}:
                missing |= {name: str(path) for name in _imports(path) - known}
    assert not missing


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


# What the documents say


def _commands() -> dict[str, click.Command]:
    """Every command of `vita` by its words, such as `calls list`."""
    found: dict[str, click.Command] = {}

    def collect(words: list[str], command: click.Command) -> None:
        found[" ".join(words)] = command
        for name, inner in getattr(command, "commands", {}).items():
            collect([*words, name], inner)

    collect([], typer.main.get_command(app))
    from vita_model.cli import app as model_app
    from vita_model.training.cli import app as train_app
    from vita_model.training.data_cli import app as data_app

    for words, inner in (("model", model_app), ("train", train_app), ("data", data_app)):
        collect([words], typer.main.get_command(inner))
    return found


def _said_commands() -> list[tuple[Path, str]]:
    """`vita …` as the documents write it, in code blocks and in running text."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(vita [^`]+)`", text)
        found += [(path, " ".join(line.split())) for line in lines if line.startswith("vita ")]
    return found


def test_the_documents_name_commands_and_options_that_exist() -> None:
    commands = _commands()
    said = _said_commands()
    assert len(said) > 20
    for path, line in said:
        words = line.split()[1:]
        name = next(
            (
                " ".join(words[:count])
                for count in range(len(words), -1, -1)
                if " ".join(words[:count]) in commands
            ),
            None,
        )
        assert name is not None, f"{path.name}: {line}"
        options = {word for word in words if word.startswith("--")}
        known = {"--help"} | {opt for option in commands[name].params for opt in option.opts}
        assert options <= known, f"{path.name}: {line}"


def test_the_documents_name_make_targets_that_exist() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"^make (\S+)", path.read_text(), re.MULTILINE):
            done = subprocess.run(
                ["make", "-n", target], cwd=ROOT, capture_output=True, check=False
            )
            assert done.returncode == 0, f"{path.name}: make {target}"


def test_links_lead_somewhere() -> None:
    written = set(re.findall(r'^ +"(\S+\.md)": ', (ROOT / "docs/reference.py").read_text(), re.M))
    for path in DOCUMENTS:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
            there = (path.parent / link).exists() or link in written
            assert there, f"{path.name}: {link}"


def _first_column(path: Path, heading: str) -> set[str]:
    """Names in backquotes in the first column of the table with this heading."""
    table = path.read_text().split(f"| {heading} |")[1].split("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_operators_find_every_setting_and_every_key_of_a_line() -> None:
    path = ROOT / "docs" / "operators.md"
    settings = {f"VITA_{name.upper()}" for name in Settings.model_fields}
    assert _first_column(path, "setting") == settings
    assert _first_column(path, "key") == set(Line.model_fields)


def test_the_sample_lines_file_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operators.md").read_text()
    (sample,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    file = tmp_path / "lines.yaml"
    file.write_text(sample)
    assert load_lines(file).find("+15550100").transfer_target == "+15550199"


def test_the_sample_tool_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "developers.md").read_text()
    samples = dict(re.findall(r"^<!-- sample: (\S+) -->\n```python\n(.*?)^```", text, re.M | re.S))
    assert set(samples) == {"opening_balance.py", "try_balance.py", "test_balance.py"}
    for name, code in samples.items():
        (tmp_path / name).write_text(code)
    # Its test is run with the example package, by tests/end_to_end/test_plugin_package.py.
    program = [sys.executable, "try_balance.py"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_sample_tools_file_can_be_read_and_every_key_is_told(tmp_path: Path) -> None:
    path = ROOT / "docs" / "developers.md"
    sample = re.findall(
        r"^<!-- sample: tools.yaml -->\n```yaml\n(.*?)^```", path.read_text(), re.M | re.S
    )
    file = tmp_path / "tools.yaml"
    file.write_text(sample[0])
    assert [server.name for server in read_tools_file(file)] == ["crm", "stock"]
    assert _first_column(path, "key of a server") == set(McpServerConfig.model_fields)
    assert _first_column(path, "status") | {"started"} == set(get_args(RunStatus))


def test_python_in_the_documents_is_python() -> None:
    for path in DOCUMENTS:
        for code in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S):
            ast.parse(code)
