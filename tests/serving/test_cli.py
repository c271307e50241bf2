"""`vita model serve`: what it says when it cannot start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vita_model.cli import app

pytestmark = pytest.mark.integration


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "--port", str(port)])
    assert result.exit_code == 3
    assert result.stderr == (
        f"Cannot listen on 127.0.0.1 port {port}: Address already in use."
        " Choose another with --port.\n"
    )


def test_a_missing_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--checkpoint", str(missing)])
    assert result.exit_code == 4
    assert str(missing) in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [None, "\n"])
def test_a_key_file_without_a_key_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--api-key-file", str(file)])
    assert result.exit_code == 2
    assert str(file) in result.stderr
