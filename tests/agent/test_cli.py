from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.demo import DEMO_LINES
from agent.store import migrate

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VITA_LINES_FILE", str(DEMO_LINES))
    monkeypatch.setenv("COLUMNS", "200")


def vita(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_lines_and_tools_are_listed():
    code, out, _ = vita("lines", "list")
    assert (code, "Brightside Dental" in out, "+15550101" in out) == (0, True, True)
    code, out, _ = vita("tools", "list")
    assert (code, "lookup_order" in out, "day, time" in out) == (0, True, True)


def test_tables_go_up_and_down():
    assert vita("db", "current")[1].startswith("base")
    assert vita("db", "upgrade")[0] == 0
    assert vita("db", "current")[1].startswith(migrate.head())
    assert vita("calls", "list")[:2] == (0, "There are no calls yet.\n")
    assert vita("db", "downgrade", "base")[0] == 0
    assert vita("db", "current")[1].startswith("base")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("calls", "list"), "vita db upgrade"),
        (("calls", "show", "x"), "vita db upgrade"),
        (("lines", "list", "--file", "none.yaml"), "none.yaml"),
        (("db", "upgrade", "nope"), "nope"),
    ],
)
def test_an_expected_error_is_one_sentence(arguments: tuple[str, ...], says: str):
    code, out, err = vita(*arguments)
    assert code == 2
    assert says in err
    assert err.startswith("vita: ")
    assert err.count("\n") == 1
    assert out == ""


def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VITA_PORT", "many")
    code, _, err = vita("db", "current")
    assert (code, "VITA_PORT" in err) == (2, True)


def test_the_command_loads_no_model_and_no_carrier():
    program = (
        "import sys; import agent.cli.main, agent.bootstrap; "
        "print([m for m in ('torch', 'transformers', 'twilio', 'aiortc', 'vita_model') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_people_who_must_not_be_called_are_kept_on_a_list():
    number = "+15550123"
    assert "not on the list" in vita("do-not-call", "check", number)[1]
    assert vita("do-not-call", "add", number)[0] == 0
    assert f"{number} is on the list" in vita("do-not-call", "check", number)[1]
    assert "may be called" in vita("do-not-call", "remove", number)[1]
    assert "was not on the list" in vita("do-not-call", "remove", number)[1]
    code, _, err = vita("do-not-call", "add", "0555123")
    assert (code, "+15550123" in err, err.count("\n")) == (1, True, 1)


def test_a_database_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VITA_DATABASE_URL", "postgresql://vita:secret@127.0.0.1:1/calls")
    code, out, err = vita("calls", "list")
    assert (code, out, err.count("\n"), "secret" in err) == (2, "", 1, False)
    assert err.rstrip().endswith("): start it, or correct VITA_DATABASE_URL.")


def test_a_table_is_broken_and_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "lines.yaml"
    words = "Copper Kiln Pottery and Painting " * 8
    file.write_text(f"lines:\n  - {{web: kiln, business: {words}, greeting: Hello.}}\n")
    code, out, _ = vita("lines", "list", "--file", str(file))
    assert code == 0
    assert "web:kiln" in out
    assert out.count("Painting") == 8
