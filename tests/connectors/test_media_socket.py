"""The media socket, spoken to by hand: what opens it, what closes it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent.api import CallControl, CallOutcome, IncomingCall, MediaLeg
from connectors.twilio.twin import HangUp, Pause, Speak, TwinAccount, WaitForAgent, WaitForEnd
from connectors.twilio.twin.audio import tone
from connectors.twilio.twin.signer import signature_headers
from tests.connectors.desk import LINE, Agent, EchoDesk, agent_and_twin, quiet, with_limits

pytestmark = pytest.mark.integration

CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}


async def dial(agent: Agent, account: TwinAccount | None = None) -> ClientConnection:
    url = agent.config.media_url
    headers = signature_headers(account or agent.twin.account, url, {})
    return await connect(url, additional_headers=headers, proxy=None, compression=None)


def start(agent: Agent, token: str, call_sid: str = "CA1", **changes: Any) -> dict[str, Any]:
    body = {
        "accountSid": agent.twin.account.sid,
        "streamSid": "MZ1",
        "callSid": call_sid,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    return {"event": "start", "streamSid": "MZ1", "start": body | changes}


async def admit(agent: Agent, call_sid: str = "CA1") -> str:
    call = IncomingCall("twilio", call_sid, LINE, "+15550123")
    return (await agent.desk.admit(call)).token


async def close_code(socket: Connection) -> int:
    """What the service closes with, whatever it says before."""
    async with asyncio.timeout(10):
        try:
            async for _ in socket:
                pass
        except ConnectionClosed:
            pass
    assert socket.close_code is not None
    return socket.close_code


async def test_a_wrong_signature_never_becomes_a_websocket() -> None:
    async with agent_and_twin() as agent:
        with pytest.raises(InvalidStatus) as refused:
            await dial(agent, TwinAccount.fresh())
        with pytest.raises(InvalidStatus):
            await connect(agent.config.media_url, proxy=None)
    assert refused.value.response.status_code == 403


async def test_a_token_opens_one_stream_only() -> None:
    async with agent_and_twin(EchoDesk(role=quiet)) as agent:
        token = await admit(agent)
        first, second = await dial(agent), await dial(agent)
        for socket in (first, second):
            await socket.send(json.dumps(CONNECTED))
            await socket.send(json.dumps(start(agent, token)))
        assert await close_code(second) == 1008
        await first.send(json.dumps({"event": "stop", "streamSid": "MZ1"}))
        assert await close_code(first) == 1000
    assert agent.desk.outcomes == ["caller_hung_up"]


@pytest.mark.parametrize(
    "fault", ["expired", "foreign call", "foreign account", "none", "invented"]
)
async def test_a_token_that_does_not_fit_closes_1008_before_the_desk_serves(fault: str) -> None:
    desk = EchoDesk(token_ttl_s=-1.0 if fault == "expired" else 60.0)
    async with agent_and_twin(desk) as agent:
        token = await admit(agent, "CA2" if fault == "foreign call" else "CA1")
        token = {"none": "", "invented": "x" * 22}.get(fault, token)
        changes = {"accountSid": "AC9"} if fault == "foreign account" else {}
        async with await dial(agent) as socket:
            await socket.send(json.dumps(CONNECTED))
            await socket.send(json.dumps(start(agent, token, **changes)))
            assert await close_code(socket) == 1008
    assert not desk.outcomes


async def test_a_socket_that_does_not_start_in_time_is_closed() -> None:
    limits = with_limits(start_timeout_s=0.2)
    async with agent_and_twin(config=limits) as agent, await dial(agent) as socket:
        await socket.send(json.dumps(CONNECTED))
        assert await close_code(socket) == 1008


@pytest.mark.parametrize("first", ["garbage", b"\x00", json.dumps({"event": "start"})])
async def test_a_socket_that_starts_wrong_is_closed(first: str | bytes) -> None:
    async with agent_and_twin() as agent, await dial(agent) as socket:
        await socket.send(first)
        assert await close_code(socket) == 1008


async def test_a_socket_that_falls_silent_is_closed() -> None:
    desk = EchoDesk(role=quiet)
    limits = with_limits(media_timeout_s=0.2)
    async with agent_and_twin(desk, config=limits) as agent, await dial(agent) as socket:
        await socket.send(json.dumps(CONNECTED))
        await socket.send(json.dumps(start(agent, await admit(agent))))
        assert await close_code(socket) == 1000
    assert desk.outcomes == ["caller_hung_up"]


async def test_a_huge_message_is_refused_by_the_server() -> None:
    async with agent_and_twin() as agent, await dial(agent) as socket:
        await socket.send("x" * 200_000)
        assert await close_code(socket) == 1009


async def test_bad_frames_are_skipped_and_the_call_goes_on() -> None:
    desk = EchoDesk(role=quiet)
    async with agent_and_twin(desk) as agent, await dial(agent) as socket:
        await socket.send(json.dumps(CONNECTED))
        await socket.send(json.dumps(start(agent, await admit(agent))))
        for bad in ("garbage", b"\x01", "{}", '{"event":"media","streamSid":"MZ1"}'):
            await socket.send(bad)
        payload = base64.b64encode(b"\x22" * 160).decode()
        body = {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": payload}
        await socket.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": body}))
        await socket.send(json.dumps({"event": "stop", "streamSid": "MZ1"}))
        assert await close_code(socket) == 1000
    assert [frame.payload for frame in desk.frames] == [b"\x22" * 160]


async def test_garbage_on_one_socket_leaves_other_calls_running() -> None:
    async with agent_and_twin() as agent:
        greeting = WaitForAgent(silence_ms=200, limit_s=10)
        script = [greeting, Speak(tone(300)), Pause(800), HangUp()]
        call = await agent.twin.place_call(to=LINE, script=script)
        async with await dial(agent) as socket:
            await socket.send(json.dumps(CONNECTED))
            await socket.send(json.dumps(start(agent, await admit(agent))))
            for _ in range(40):
                await socket.send("garbage " * 1000)
            assert await close_code(socket) == 1008
        await call.wait_ended(20)
    assert call.status == "completed"
    assert len(call.heard.answer_delays_ms) == 1
    assert not call.timeline.errors()


async def test_sending_after_the_caller_has_gone_is_ignored() -> None:
    opened, sent = asyncio.Event(), asyncio.Event()

    async def talk_on(desk: EchoDesk, leg: MediaLeg, control: CallControl) -> CallOutcome:
        opened.set()
        async for _ in leg.events():
            pass
        await leg.send_audio(b"\xff" * 160)
        await leg.send_mark("late")
        await leg.clear()
        await leg.close()
        await leg.close()
        sent.set()
        return "caller_hung_up"

    async with agent_and_twin(EchoDesk(role=talk_on)) as agent:
        call = await agent.twin.place_call(to=LINE, script=[WaitForEnd(limit_s=30)])
        async with asyncio.timeout(10):
            await opened.wait()
        call.hang_up()
        await call.wait_ended(20)
        async with asyncio.timeout(10):
            await sent.wait()
    assert not call.timeline.errors()
