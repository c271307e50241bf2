"""Keys over real sockets: what each may hold, how one takes another's place, how a stuck server ends."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.serving.conftest import Running, Start, until
from vita_model.serving.key_file import KeyFile, Keys
from vita_model.serving.keys import Key, digest_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

STUCK = """
import asyncio
from tests.serving.scripted_model import ScriptedModel
from vita_model.engine.voice import EngineStats
from vita_model.serving.door import open_listener
from vita_model.serving.run import run_server
from vita_model.serving.server import ServerConfig

class Stuck(ScriptedModel):
    def stats(self):
        return EngineStats(waiting=len(self.requests))

with open_listener("127.0.0.1", 0) as listener:
    asyncio.run(run_server(Stuck(), listener, ServerConfig(stuck_after=1), drain_s=30))
"""


def shown(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


async def refusal(running: Running, key: str) -> tuple[int, str, int]:
    """Status, reason and seconds to wait of a session that is not opened."""
    with pytest.raises(InvalidStatus) as refused:
        await running.connect(**shown(key))
    response = refused.value.response
    wait_s = int(response.headers.get("Retry-After", 0))
    return response.status_code, json.loads(response.body)["error"]["code"], wait_s


async def test_limits_of_a_key_are_its_own(start: Start) -> None:
    keys = Keys(
        [
            Key("holds one", digest_of("one"), sessions=1),
            Key("opens two", digest_of("two"), per_minute=2),
            Key("reads only", digest_of("reader"), frozenset({"metrics"})),
        ]
    )
    async with start(keys=keys, max_sessions=4) as running:
        async with running.connect(**shown("one")) as first:
            await until(first, "session.created")
            assert await refusal(running, "one") == (429, "key_sessions", 1)
            for _ in range(2):
                async with running.connect(**shown("two")) as socket:
                    await until(socket, "session.created")
            status, reason, wait_s = await refusal(running, "two")
            assert (status, reason) == (429, "key_rate")
            assert 1 <= wait_s <= 61
            assert (await refusal(running, "reader"))[:2] == (401, "invalid_api_key")
        await asyncio.wait_for(running.server.slots.empty.wait(), 10)
        async with running.connect(**shown("one")) as again:
            await until(again, "session.created")


async def test_a_key_takes_the_place_of_another_without_ending_a_session(
    start: Start, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    file.add(Key("old", digest_of("old")))
    async with start(keys=Keys(file=file)) as running, asyncio.timeout(30):

        async def opens(key: str) -> bool:
            try:
                async with running.connect(**shown(key)) as socket:
                    await until(socket, "session.created")
            except InvalidStatus:
                return False
            return True

        async with running.connect(**shown("old")) as running_session:
            await until(running_session, "session.created")
            file.add(Key("new", digest_of("new")))
            while not await opens("new"):  # noqa: ASYNC110 - the file is looked at every few seconds
                await asyncio.sleep(0.1)
            assert await opens("old"), "both count while clients change over"
            file.revoke("old")
            while await opens("old"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            assert await opens("new")
            await running_session.send('{"type": "response.create"}')
            await until(running_session, "response.done")


async def test_a_stuck_server_ends_with_a_code_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STUCK, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().split()[-1]
            async with connect(url) as session:
                await session.send('{"type": "response.create"}')
                events = await until(session, "error")
                with pytest.raises(ConnectionClosed):
                    await until(session, "response.done")
            assert await process.wait() == 70
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert events[-1]["error"]["code"] == "engine_stuck"
