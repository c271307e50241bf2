"""Clients that behave badly cost themselves something, and a conversation beside them nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from contextlib import suppress
from typing import Any

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
MINUTE = bytes([0xFF, 0x7F] * 240_000)
"""Of silence in mu-law."""
PHONE: dict[str, Any] = {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}


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


async def test_half_an_hour_at_once_is_heard_as_its_last_minute(start: Start) -> None:
    async with start() as running, running.connect() as socket, running.connect() as other:
        await send(socket, "session.update", session={"type": "realtime", "audio": PHONE})
        audio = base64.b64encode(MINUTE * 10).decode()
        for _ in range(3):
            await send(socket, "input_audio_buffer.append", audio=audio)
            await is_served(running, other)
        await send(socket, "input_audio_buffer.commit")
        await is_served(running, socket)
        (heard,) = running.model.heard
        assert 59 * 16_000 < len(heard) <= 60 * 16_000


async def test_an_item_with_minutes_of_sound_is_refused_and_the_session_goes_on(
    start: Start,
) -> None:
    async with start() as running, running.connect() as socket:
        await send(socket, "session.update", session={"type": "realtime", "audio": PHONE})
        sound = {"type": "input_audio", "audio": base64.b64encode(MINUTE * 10).decode()}
        item = {"type": "message", "role": "user", "content": [sound]}
        await send(socket, "conversation.item.create", item=item)
        error = (await until(socket, "error"))[-1]["error"]
        assert error["param"] == "item.content.audio"
        assert "60 s" in error["message"]
        await is_served(running, socket)
        assert running.model.heard == []


async def test_a_message_beyond_all_measure_ends_its_own_session_alone(start: Start) -> None:
    async with start() as running:
        async with running.connect() as other:
            audio = base64.b64encode(MINUTE * 30).decode()
            socket = await running.connect()
            with suppress(ConnectionClosed):
                await send(socket, "input_audio_buffer.append", audio=audio)
            async with asyncio.timeout(20):
                await socket.wait_closed()
            await is_served(running, other)
        async with asyncio.timeout(20):
            await running.server.slots.empty.wait()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:image/png;base64,iVBORw0KGgo", "base64"),
        ("data:image/png;base64,iVBORw0KGgo=", "cannot be read"),
        ("data:image/gif;base64,R0lGODlh", "JPEG or PNG"),
        ("http://127.0.0.1/picture.png", "data URI"),
        ("data:image/jpeg;base64," + "A" * 12_000_000, "8 MiB"),
    ],
    ids=["no base64", "broken", "gif", "address", "large"],
)
async def test_a_picture_that_is_none_is_an_error_and_the_session_goes_on(
    url: str, says: str, start: Start
) -> None:
    async with start() as running, running.connect() as socket:
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": url}],
        }
        await send(socket, "conversation.item.create", item=item)
        error = (await until(socket, "error"))[-1]["error"]
        assert says in error["message"]
        assert error["type"] == "invalid_request_error"
        await is_served(running, socket)
