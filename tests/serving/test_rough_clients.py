"""Clients that behave badly cost themselves something, and a conversation beside them nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.serving.conftest import Running, Start, send, until
from tests.serving.scripted_model import DONE, QUERY, spoken
from vita_model.serving.connection import Limits

pytestmark = pytest.mark.integration

CONNECTS = 1_000
AT_ONCE = 100
FLOOD = 1_000


async def is_served(running: Running, socket: ClientConnection) -> None:
    """A turn of the conversation beside all this."""
    running.model.replies.append([QUERY, *spoken("We open at nine."), DONE])
    await send(socket, "response.create")
    done = (await until(socket, "response.done"))[-1]["response"]
    assert done["status"] == "completed"


async def test_a_thousand_connects_take_no_place_for_good(start: Start) -> None:
    async with start(max_sessions=3) as running, running.connect() as socket:
        outcomes: Counter[int] = Counter()

        async def knock(number: int) -> None:
            host, _, port = running.address.partition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            if number % 2:
                writer.write(b"GET /v1/realtime?model=scripted HTTP/1.1\r\nHost: a\r\n")
            await asyncio.sleep(0)
            writer.transport.abort()

        async def come_in() -> None:
            try:
                async with running.connect() as visitor:
                    await until(visitor, "session.created")
                    outcomes[101] += 1
            except InvalidStatus as refused:
                outcomes[refused.response.status_code] += 1

        for at in range(0, CONNECTS, AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for number in range(at, at + AT_ONCE):
                    group.create_task(come_in() if number % 10 == 0 else knock(number))
        await is_served(running, socket)
        assert set(outcomes) <= {101, 503}
        assert outcomes[101]
        async with asyncio.timeout(20):
            await socket.close()
            await running.server.slots.empty.wait()


async def test_a_flood_is_answered_or_let_go_and_others_are_served(start: Start) -> None:
    async with (
        start(limits=Limits(send=0.5)) as running,
        running.connect() as socket,
        running.connect(max_queue=1, close_timeout=0.1) as flooder,
    ):
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(10):
                for _ in range(FLOOD):
                    await flooder.send(
                        '{"type": "session.update", "session": {"type": "realtime"}}'
                    )
        await is_served(running, socket)


async def test_a_client_gone_without_a_word_gives_its_place_back(start: Start) -> None:
    async with start(
        max_sessions=1, ping_interval=0.1, ping_timeout=0.2, close_timeout=0.2
    ) as running:
        silent = await running.connect()
        silent.transport.pause_reading()
        async with asyncio.timeout(20):
            await running.server.slots.empty.wait()
        silent.transport.abort()
        async with running.connect() as socket:
            await until(socket, "session.created")
            await is_served(running, socket)


async def test_audio_of_the_wrong_kind_is_an_error_and_the_session_goes_on(start: Start) -> None:
    async with start() as running, running.connect() as socket:
        await until(socket, "session.created")
        formats = ({"type": "audio/pcm", "rate": 16_000}, {"type": "audio/mp3"}, "audio/pcm")
        for wrong in formats:
            audio = {"input": {"format": wrong}}
            await send(socket, "session.update", session={"type": "realtime", "audio": audio})
            error = (await until(socket, "error"))[-1]["error"]
            assert error["code"] == "invalid_value", json.dumps(error)
        for audio in ("not base64!", "AAAA=AAA"):
            await send(socket, "input_audio_buffer.append", audio=audio)
            error = (await until(socket, "error"))[-1]["error"]
            assert error["code"] == "invalid_value", json.dumps(error)
        await is_served(running, socket)
