"""A running model server over a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import ClientConnection, connect

from tests.serving.scripted_model import ScriptedModel
from vita_model.audio.telephone import Resampler, encode
from vita_model.serving.door import open_listener
from vita_model.serving.key_file import Keys
from vita_model.serving.keys import plain_key
from vita_model.serving.server import ModelServer, ServerConfig, serving


@dataclass(frozen=True)
class Running:
    """A server, its model, and where it listens."""

    server: ModelServer
    model: ScriptedModel
    address: str

    def connect(self, **options: Any) -> connect:
        return connect(f"ws://{self.address}/v1/realtime?model=scripted", **options)


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def start() -> Start:
    @asynccontextmanager
    async def run(**config: Any) -> AsyncIterator[Running]:
        listener = open_listener("127.0.0.1", 0)
        host, port = listener.getsockname()
        model = ScriptedModel()
        if "api_key" in config:
            config["keys"] = Keys([plain_key("test", config.pop("api_key"))])
        async with serving(model, listener, replace(ServerConfig(), **config)) as server:
            yield Running(server, model, f"{host}:{port}")

    return run


@pytest.fixture(scope="session")
def question() -> bytes:
    """A spoken question and a second of silence as PCM at 24 kHz."""
    speech, rate = soundfile.read(Path(__file__).parent / "question.flac", dtype="float32")
    audio = np.concatenate([speech, np.zeros(rate)]).astype(np.float32)
    return encode(Resampler(rate, 24_000).feed(audio), "audio/pcm")


async def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    """Send one event."""
    await socket.send(json.dumps({"type": kind, **fields}))


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Events up to the first of a type."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(await socket.recv()))
    return events
