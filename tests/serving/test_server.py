"""The door: sessions over real sockets, keys, slots, faults and endings."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.serving.conftest import Running, Start, send, until
from tests.serving.scripted_model import DONE, NOISE, QUERY, spoken
from tests.serving.talk import check_event
from vita_model.engine.voice import AssistantText, UserText
from vita_model.serving.connection import Limits

pytestmark = pytest.mark.integration

SECOND_OF_SILENCE = bytes(48_000)


async def _speak(socket: ClientConnection, audio: bytes) -> None:
    for at in range(0, len(audio), 4_800):
        piece = base64.b64encode(audio[at : at + 4_800]).decode()
        await send(socket, "input_audio_buffer.append", audio=piece)


async def _type(socket: ClientConnection, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await send(socket, "conversation.item.create", item=item)


async def test_the_next_prompt_is_computed_ahead_and_a_fault_in_it_costs_nothing(
    start: Start,
) -> None:
    async with start() as running, running.connect() as socket:
        await _type(socket, "hi")
        await send(socket, "response.create")
        await until(socket, "response.done")
        await _type(socket, "and now?")
        await until(socket, "conversation.item.done")
        (ahead,) = running.model.ahead
        assert ahead.entries == [UserText("hi"), AssistantText("I heard you.")]
        running.model.short_sighted = True
        for _ in range(2):
            await send(socket, "response.create")
            done = (await until(socket, "response.done"))[-1]
            assert done["response"]["status"] == "completed"
        assert len(running.model.ahead) == 1


async def test_a_spoken_question_is_answered_aloud(start: Start, question: bytes) -> None:
    async with start() as running, running.connect() as socket:
        session: dict[str, Any] = {"audio": {"input": {"transcription": {"model": "any"}}}}
        await send(socket, "session.update", session=session)
        await _speak(socket, question)
        events = await until(socket, "response.done")
        for event in events:
            check_event(event)
        assert events[0]["type"] == "session.created"
        kinds = [event["type"] for event in events]
        heard = "conversation.item.input_audio_transcription.completed"
        assert kinds.index(heard) < kinds.index("response.output_item.added")
        audio = b"".join(
            base64.b64decode(e["delta"])
            for e in events
            if e["type"] == "response.output_audio.delta"
        )
        assert len(audio) == int(0.75 * 48_000)
        (utterance,) = running.model.heard
        assert 1.5 <= len(utterance) / 16_000 <= 2.5
        assert np.abs(utterance).max() > 0.3


async def test_speech_stops_an_endless_answer_in_the_model(start: Start, question: bytes) -> None:
    async with start() as running, running.connect() as socket:
        running.model.replies.append([QUERY, *spoken("on and on and on")])
        await _type(socket, "tell me everything")
        await send(socket, "response.create")
        await until(socket, "response.output_audio.delta")
        await _speak(socket, question)
        events = await until(socket, "response.done")
        kinds = [event["type"] for event in events]
        assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done")
        assert events[-1]["response"]["status"] == "cancelled"
        await asyncio.wait_for(running.model.cancelled.wait(), 10)
        cancelled = events[-1]["response"]["id"]
        later = await until(socket, "response.done")
        assert later[-1]["response"]["status"] == "completed"
        assert not any(event.get("response_id") == cancelled for event in later)


async def test_noise_is_not_answered(start: Start, question: bytes) -> None:
    async with start() as running, running.connect() as socket:
        running.model.replies.append([NOISE, DONE])
        await _speak(socket, question)
        response = (await until(socket, "response.done"))[-1]["response"]
        assert (response["status"], response["output"]) == ("completed", [])
        assert response["metadata"]["vita_state"] == "noise"


async def test_the_caller_hears_only_what_is_kept(start: Start) -> None:
    async with start() as running, running.connect() as socket:
        running.model.replies.append([QUERY, *spoken("we open at nine", 0.5), DONE])
        await send(socket, "response.create")
        item = (await until(socket, "response.done"))[-1]["response"]["output"][0]
        await send(
            socket,
            "conversation.item.truncate",
            item_id=item["id"],
            content_index=0,
            audio_end_ms=1_000,
        )
        await _type(socket, "what?")
        await send(socket, "response.create")
        await until(socket, "response.done")
        assert running.model.requests[-1].entries == [AssistantText("we open"), UserText("what?")]


@pytest.mark.parametrize(
    ("message", "code", "event_id"),
    [
        ("garbage", "invalid_json", None),
        ("[1, 2]", "invalid_event", None),
        ("{}", "missing_required_parameter", None),
        ('{"type": "session.destroy", "event_id": "e1"}', "unknown_event", "e1"),
        ('{"type": "conversation.item.delete"}', "missing_required_parameter", None),
        ('{"type": "input_audio_buffer.append", "audio": 7}', "invalid_type", None),
        ("[" * 100_000, "invalid_json", None),
        (b"\x00\x01", "invalid_event", None),
    ],
)
async def test_garbage_is_answered_and_the_session_goes_on(
    start: Start, message: str | bytes, code: str, event_id: str | None
) -> None:
    async with start() as running, running.connect() as socket:
        await until(socket, "session.created")
        await socket.send(message)
        error = json.loads(await socket.recv())
        check_event(error)
        assert error["error"]["type"] == "invalid_request_error"
        assert (error["error"]["code"], error["error"]["event_id"]) == (code, event_id)
        await send(socket, "response.create")
        assert (await until(socket, "response.done"))[-1]["response"]["status"] == "completed"


async def test_a_message_too_big_ends_the_session(start: Start) -> None:
    async with start(max_message_bytes=1_000) as running, running.connect() as socket:
        await socket.send("x" * 1_001)
        with pytest.raises(ConnectionClosed) as closed:
            await until(socket, "response.done")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_a_model_that_fails_costs_one_answer(start: Start, question: bytes) -> None:
    async with start() as running, running.connect() as socket:
        running.model.broken = True
        await send(socket, "response.create")
        response = (await until(socket, "response.done"))[-1]["response"]
        assert response["status"] == "failed"
        await _speak(socket, question)
        response = (await until(socket, "response.done"))[-1]["response"]
        assert response["status"] == "failed"
        running.model.broken = False
        await send(socket, "response.create")
        response = (await until(socket, "response.done"))[-1]["response"]
        assert response["status"] == "completed"


@pytest.mark.parametrize(
    ("kind", "holder"), [("session.update", "session"), ("response.create", "response")]
)
async def test_a_tool_that_calls_cannot_be_held_to_is_refused(
    start: Start, kind: str, holder: str
) -> None:
    tool = {"type": "function", "name": "odd", "parameters": {"not": {}}}
    async with start() as running, running.connect() as socket:
        await until(socket, "session.created")
        await send(socket, kind, event_id="e1", **{holder: {"tools": [tool]}})
        error = (await until(socket, "error"))[-1]["error"]
        assert (error["code"], error["param"], error["event_id"]) == (
            "invalid_value",
            "tools",
            "e1",
        )
        assert "'odd'" in error["message"]
        await send(socket, "response.create")
        assert (await until(socket, "response.done"))[-1]["response"]["status"] == "completed"
        assert not running.model.requests[-1].tools


async def test_a_model_that_hangs_is_given_up(start: Start) -> None:
    async with start(limits=Limits(reply_step=0.05)) as running, running.connect() as socket:
        running.model.replies.append([QUERY])
        await send(socket, "response.create")
        response = (await until(socket, "response.done"))[-1]["response"]
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["message"] == "The answer took too long."
        assert running.model.cancelled.is_set()


async def test_the_model_forgets_a_session_that_ended(start: Start) -> None:
    async with start() as running:
        async with running.connect() as socket:
            (created,) = await until(socket, "session.created")
            running.model.replies.append([QUERY, *spoken("on and on")])
            await send(socket, "response.create")
            await until(socket, "response.output_audio.delta")
        await asyncio.wait_for(running.server.slots.empty.wait(), 10)
        await asyncio.wait_for(running.model.cancelled.wait(), 10)
        async with running.connect() as socket:
            await until(socket, "session.created")
        assert running.model.forgotten[0] == created["session"]["id"]


async def test_a_client_that_takes_nothing_is_let_go(start: Start) -> None:
    async with start(limits=Limits(send=0.2), ping_interval=1_000) as running:
        model = running.model
        model.replies.append([QUERY, *spoken("word " * 200, 0.2), DONE])
        async with running.connect(max_queue=1, close_timeout=0.2) as socket:
            for _ in range(40):
                model.replies.append([QUERY, *spoken("word " * 200, 0.2), DONE])
            await until(socket, "session.created")
            for _ in range(2):
                await send(socket, "response.create")
            async with asyncio.timeout(20):
                await running.server.slots.empty.wait()


async def test_keys(start: Start) -> None:
    async with start(api_key="secret") as running:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            with pytest.raises(InvalidStatus) as refused:
                await running.connect(additional_headers=headers)
            assert refused.value.response.status_code == 401
        for options in (
            {"additional_headers": {"Authorization": "Bearer secret"}},
            {"subprotocols": ["realtime", "openai-insecure-api-key.secret"]},
        ):
            async with running.connect(**options) as socket:
                await until(socket, "session.created")
                assert socket.subprotocol == ("realtime" if "subprotocols" in options else None)
        with pytest.raises(InvalidStatus):
            await running.connect(subprotocols=["realtime", "openai-insecure-api-key.wrong"])


async def test_no_more_sessions_than_slots(start: Start) -> None:
    async with start(max_sessions=1) as running:
        async with running.connect() as socket:
            await until(socket, "session.created")
            with pytest.raises(InvalidStatus) as refused:
                await running.connect()
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "1"
        await asyncio.wait_for(running.server.slots.empty.wait(), 10)
        async with running.connect() as socket:
            await until(socket, "session.created")


async def test_a_failed_handshake_gives_its_slot_back(start: Start) -> None:
    async with start(max_sessions=1) as running:
        for _ in range(3):
            async with httpx.AsyncClient() as client:
                answer = await client.get(
                    f"http://{running.address}/v1/realtime", headers={"Upgrade": "websocket"}
                )
            assert answer.status_code in {400, 426}
            await asyncio.wait_for(running.server.slots.empty.wait(), 10)
        async with running.connect() as socket:
            await until(socket, "session.created")


async def _get(running: Running, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://{running.address}{path}", headers=headers)


async def test_what_a_balancer_and_an_operator_ask(start: Start) -> None:
    async with start(api_key="secret", max_sessions=2) as running:
        health = (await _get(running, "/healthz")).json()
        assert health["model"]["licence"] == "Apache-2.0"
        ready = (await _get(running, "/readyz")).json()
        assert ready == {"ready": True, "reason": None, "active": 0, "max": 2}
        assert (await _get(running, "/v1/models")).status_code == 401
        models = (await _get(running, "/v1/models", Authorization="Bearer secret")).json()
        assert [model["id"] for model in models["data"]] == ["scripted"]
        assert (
            await _get(running, "/v1/realtime", Authorization="Bearer secret")
        ).status_code == 426
        assert (await _get(running, "/nowhere")).status_code == 404
        key = {"Authorization": "Bearer secret"}
        assert (await _get(running, "/v1/realtime?call_id=c1", **key)).status_code == 404


async def test_draining_waits_for_sessions_and_takes_no_new_ones(start: Start) -> None:
    async with start() as running:
        async with running.connect() as socket, asyncio.TaskGroup() as group:
            await until(socket, "session.created")
            drained = group.create_task(running.server.drain(30))
            await asyncio.sleep(0)
            assert (await _get(running, "/readyz")).status_code == 503
            with pytest.raises(InvalidStatus):
                await running.connect()
            await send(socket, "response.create")
            await until(socket, "response.done")
            assert not drained.done()
            await socket.close()
        assert drained.done()


async def test_a_session_ends_when_it_expires(start: Start) -> None:
    async with start(limits=Limits(session=1.0)) as running, running.connect() as socket:
        (created,) = await until(socket, "session.created")
        assert created["session"]["expires_at"] > 1_700_000_000
        events = await until(socket, "error")
        check_event(events[-1])
        assert events[-1]["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        await asyncio.wait_for(running.server.slots.empty.wait(), 10)


async def test_a_closing_server_says_so(start: Start) -> None:
    async with start() as running:
        socket = await running.connect()
        await until(socket, "session.created")
    with pytest.raises(ConnectionClosed) as closed:
        await until(socket, "response.done")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
