"""An agent with a call page, and a model server that says the same to everything."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from agent.cli.agent_server import AgentServer, serving_agent
from agent.settings import load_settings
from connectors.server import listen
from tests.end_to_end.running import ROOT, command
from tests.serving.scripted_model import ScriptedModel
from vita_model.serving.door import open_listener
from vita_model.serving.server import ServerConfig, serving

LINE: dict[str, Any] = {
    "web": "brightside",
    "business": "Brightside Dental",
    "disclosure": "You will talk to a virtual assistant.",
    "greeting": "Hello, this is Brightside Dental.",
}


@asynccontextmanager
async def model_server(model: ScriptedModel) -> AsyncIterator[str]:
    """Serves a scripted model; its URL."""
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(model, listener, ServerConfig()):
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime"


@asynccontextmanager
async def agent(
    folder: Path, model_url: str, line: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[AgentServer]:
    """An agent that only browsers can call."""
    given = load_settings(
        data_dir=folder / "data",
        lines_file=_lines_file(folder, line or {}),
        model_url=model_url,
        **settings,
    )
    with listen("127.0.0.1", 0) as bound:
        async with serving_agent(given, None, bound) as running:
            yield running


@asynccontextmanager
async def agent_process(
    folder: Path, model_url: str, **settings: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """`vita serve` as a process of its own, with no carrier's settings: its address, and itself."""
    inherited = os.environ.items()  # noqa: TID251 - passed on to the process under test
    env = {name: value for name, value in inherited if not name.startswith("VITA_")}
    options = ["--lines", _lines_file(folder, {}), "--model-url", model_url, "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command("serve", *options),
        env=env | settings | {"VITA_DATA_DIR": str(folder / "data"), "VITA_LOG_FORMAT": "json"},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            if b"agent_answers" in line:
                yield json.loads(line)["url"], process
                break
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


class Switch:
    """One address in front of several agents: new connections go to the one that is chosen."""

    def __init__(self) -> None:
        self.target = ""
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with server:
            yield

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(self.target.rpartition(":")[2])
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _lines_file(folder: Path, line: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lines.yaml"
    path.write_text(yaml.safe_dump({"lines": [{**LINE, **line}]}))
    return path
