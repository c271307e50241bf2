"""`vita model serve`: what it says when it cannot start, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.serving.conftest import until
from tests.serving.scripted_model import ScriptedModel
from vita_model.cli import app
from vita_model.serving.door import open_listener
from vita_model.serving.key_file import KeyFile
from vita_model.serving.run import run_server
from vita_model.serving.server import ServerConfig

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


def test_a_checkpoint_without_weights_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--checkpoint", str(tmp_path)])
    assert result.exit_code == 4
    assert result.stderr.startswith("The checkpoint cannot be used: ")
    assert result.stderr.count("\n") == 1


async def test_a_terminated_server_ends_its_sessions_and_its_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = ScriptedModel()
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        listener.listen()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_server(model, listener, ServerConfig(), drain_s=0))
            async with connect(f"ws://127.0.0.1:{port}/v1/realtime") as session:
                await until(session, "session.created")
                signal.raise_signal(signal.SIGTERM)
                with pytest.raises(ConnectionClosed) as closed:
                    await until(session, "response.done")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert model.closed
    assert f"ws://127.0.0.1:{port}/v1/realtime" in capsys.readouterr().out


async def test_a_second_signal_ends_sessions_at_once() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        listener.listen()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_server(ScriptedModel(), listener, ServerConfig(), drain_s=3600))
            async with connect(f"ws://127.0.0.1:{port}/v1/realtime") as session:
                await until(session, "session.created")
                for _ in range(2):
                    signal.raise_signal(signal.SIGTERM)
                    await asyncio.sleep(0)
                with pytest.raises(ConnectionClosed) as closed:
                    await until(session, "response.done")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_keys_are_made_listed_and_revoked_and_never_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "keys.json"

    def keys(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["keys", *arguments, "--file", str(file)])

    made = keys("add", "agent", "--sessions", "4", "--per-minute", "30")
    secret = made.stdout.strip()
    assert made.exit_code == 0
    assert secret.startswith("vmk_")
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert keys("add", "graphs", "--scope", "metrics").exit_code == 0
    listed = keys("list").stdout
    assert "agent" in listed
    assert "metrics" in listed
    assert secret not in listed
    assert keys("add", "agent").exit_code == 2
    assert keys("add", "bad\nname").exit_code == 2
    assert "sessions, client_secrets, metrics" in keys("add", "b", "--scope", "all").stderr
    assert keys("revoke", "agent").exit_code == 0
    assert keys("revoke", "agent").exit_code == 2
    assert [key.name for key in KeyFile(file).read()] == ["graphs"]


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{"name": "a", "digest": "x"}]}'])
def test_a_file_of_keys_that_is_none_starts_no_server(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--keys-file", str(file)])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
