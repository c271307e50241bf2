"""Media streams of the twin, from the site's end of the socket."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import soundfile
import uvicorn
from fastapi import FastAPI
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection, serve

from agent import mulaw
from connectors.server import listen
from connectors.twilio.twin import (
    HangUp,
    Pause,
    Press,
    Speak,
    Step,
    TwinAccount,
    TwinCall,
    WaitForAgent,
    WaitForEnd,
)
from connectors.twilio.twin.audio import SILENT_FRAME, tone
from connectors.twilio.twin.caller import ScriptedCaller
from connectors.twilio.twin.line import Line
from connectors.twilio.twin.media import QUEUED_MESSAGES, MediaStream
from connectors.twilio.twin.timeline import Timeline
from tests.connectors.twin.customer import Site, Socket, Talk, site_and_twin

pytestmark = pytest.mark.integration

PARAMETERS = '<Parameter name="token" value="t"/><Parameter name="b" value=""/>'
VOICE = f'<Response><Connect><Stream url="{{ws}}/media">{PARAMETERS}</Stream></Connect></Response>'


async def stream(
    talk: Talk, *script: Step, voice: str = VOICE, **settings: Any
) -> tuple[TwinCall, Site]:
    """A call whose stream `talk` answers."""
    site = Site({"/voice": voice}, talk=talk)
    async with site_and_twin(site, **settings) as twin:
        call = await twin.place_call(to="+15550100", script=script or [WaitForEnd(limit_s=20)])
        await call.wait_ended(30)
    return call, site


async def listen_only(socket: Socket) -> None:
    await socket.until("stop")


GREETED = WaitForAgent(silence_ms=100, limit_s=10)


async def greet(socket: Socket) -> None:
    await socket.until("start")
    await socket.send("media", audio(60))
    await socket.until("stop")


def audio(pcm_ms: int) -> dict[str, str]:
    return {"payload": base64.b64encode(mulaw.encode(tone(pcm_ms))).decode()}


async def test_e35_messages_come_in_order_and_in_shape() -> None:
    call, site = await stream(greet, GREETED, Press("5"), HangUp())
    (socket,) = site.sockets
    connected, start, *rest = socket.seen
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    sid = socket.stream_sid
    assert sid.startswith("MZ")
    assert len(sid) == 34
    body = start["start"]
    assert start["sequenceNumber"] == "1"
    assert (body["callSid"], body["streamSid"], body["tracks"]) == (call.sid, sid, ["inbound"])
    assert body["customParameters"] == {"token": "t", "b": ""}
    assert body["mediaFormat"] == {
        "encoding": "audio/x-mulaw",
        "sampleRate": 8000,
        "channels": 1,
    }
    assert [m["sequenceNumber"] for m in rest] == [str(n) for n in range(2, len(rest) + 2)]
    assert all(message["streamSid"] == sid for message in rest)
    media = [m["media"] for m in rest if m["event"] == "media"]
    assert [m["chunk"] for m in media] == [str(n) for n in range(1, len(media) + 1)]
    assert [m["timestamp"] for m in media] == [str(20 * n) for n in range(len(media))]
    assert {m["track"] for m in media} == {"inbound"}
    assert {len(base64.b64decode(m["payload"])) for m in media} == {160}
    (key,) = [m["dtmf"] for m in rest if m["event"] == "dtmf"]
    assert key == {"track": "inbound_track", "digit": "5"}
    assert rest[-1]["event"] == "stop"
    assert rest[-1]["stop"] == {"accountSid": body["accountSid"], "callSid": call.sid}


async def test_e36_what_the_caller_says_arrives_whole_with_silence_around_it() -> None:
    pcm = tone(300)
    _, site = await stream(greet, GREETED, Speak(pcm), Pause(200), HangUp())
    media = [m["media"]["payload"] for m in site.sockets[0].seen if m["event"] == "media"]
    said = b"".join(base64.b64decode(payload) for payload in media)
    assert mulaw.encode(pcm) in said
    assert said.startswith(mulaw.silence(160))
    assert said.endswith(mulaw.silence(1600))


async def test_e37_marks_come_back_when_played_and_clear_flushes_them() -> None:
    marks: list[str] = []

    async def talk(socket: Socket) -> None:
        await socket.until("start")
        await socket.send("media", audio(200))
        await socket.send("mark", {"name": "short"})
        marks.append((await socket.until("mark"))["mark"]["name"])
        await socket.send("media", audio(30_000))
        await socket.send("mark", {"name": "one"})
        await socket.send("mark", {"name": "two"})
        await socket.send("clear")
        marks.append((await socket.until("mark"))["mark"]["name"])
        marks.append((await socket.until("mark"))["mark"]["name"])
        await socket.websocket.close()

    call, site = await stream(talk)
    assert marks == ["short", "one", "two"]
    assert call.heard.length_ms < 30_000
    seen = site.sockets[0].seen
    short = next(n for n, m in enumerate(seen) if m["event"] == "mark")
    before = [m for m in seen[:short] if m["event"] == "media"]
    assert len(before) >= 10, "200 ms had to play first"


async def test_e37_early_audio_waits_in_the_buffer() -> None:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        for _ in range(20):
            await socket.send("media", audio(20))
        await socket.send("mark", {"name": "all"})
        await socket.until("mark")
        await socket.websocket.close()

    call, _ = await stream(talk)
    assert call.heard.gaps == ()
    assert call.heard.length_ms >= 400


async def test_e38_the_first_audio_and_the_answer_are_measured(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        await socket.send("media", audio(100))
        spoken = False
        while True:
            payload = (await socket.until("media"))["media"]["payload"]
            silent = base64.b64decode(payload) == mulaw.silence(160)
            if spoken and silent:
                break
            spoken = spoken or not silent
        await socket.send("media", audio(100))
        await socket.until("stop")

    call, _ = await stream(talk, GREETED, Speak(tone(200)), GREETED, HangUp())
    heard = call.heard
    assert heard.first_audio_ms is not None
    (delay,) = heard.answer_delays_ms
    assert 0 < delay < heard.length_ms
    heard.save(tmp_path / "call.wav")
    samples, rate = soundfile.read(tmp_path / "call.wav", dtype="int16")
    assert rate == 8000
    assert (samples[:, 0] == heard.caller).all()
    assert (samples[:, 1] == heard.agent).all()


BAD_MESSAGES: list[str | bytes] = [
    "not json",
    b"\x00",
    "[]",
    '{"event": "dance"}',
    '{"event": "media", "streamSid": "MZother", "media": {"payload": "fw=="}}',
    '{"event": "media", "streamSid": "SID", "media": {"payload": "%"}}',
    '{"event": "media", "streamSid": "SID"}',
    '{"event": "mark", "streamSid": "SID", "mark": {}}',
    '{"event": "mark", "streamSid": "SID", "mark": []}',
]


async def test_e39_a_bad_message_ends_the_stream_with_31924() -> None:
    async def talk(socket: Socket) -> None:
        bad = BAD_MESSAGES[len(site.sockets) - 1]
        await socket.until("start")
        if isinstance(bad, bytes):
            await socket.websocket.send_bytes(bad)
        else:
            await socket.websocket.send_text(bad.replace("SID", socket.stream_sid))
        while (await socket.websocket.receive())["type"] != "websocket.disconnect":
            pass

    site = Site({"/voice": VOICE}, talk=talk)
    async with site_and_twin(site) as twin:
        for _ in BAD_MESSAGES:
            call = await twin.place_call(to="+15550100", script=[WaitForEnd(limit_s=20)])
            await call.wait_ended(30)
    assert [call.timeline.errors() for call in twin.calls] == [[31924]] * len(BAD_MESSAGES)
    assert {call.status for call in twin.calls} == {"completed"}


async def test_e34_the_upgrade_is_signed_and_a_refusal_is_31920() -> None:
    voice = VOICE.replace("/media", "/nowhere")
    call, _ = await stream(listen_only, voice=voice)
    assert call.timeline.errors() == [31920]
    seen: list[str] = []

    async def talk(socket: Socket) -> None:
        seen.append(socket.websocket.headers["x-twilio-signature"])
        await socket.websocket.close()

    await stream(talk)
    assert len(seen[0]) == 28


async def test_e34_addresses_twilio_would_not_open_are_31920() -> None:
    addresses = ["{ws}/media?call=1", "{url}/media", "nonsense", ""]
    streams = "".join(f'<Connect><Stream url="{address}"/></Connect>' for address in addresses)
    call, site = await stream(listen_only, voice=f"<Response>{streams}</Response>")
    assert call.timeline.errors() == [31920] * 4
    assert not site.sockets


async def test_e34_nobody_there_is_31901() -> None:
    voice = '<Response><Connect><Stream url="ws://127.0.0.1:1/media"/></Connect></Response>'
    call, _ = await stream(listen_only, voice=voice)
    assert call.timeline.errors() == [31901]


async def test_e34_a_handshake_without_an_answer_is_31901() -> None:
    silent = listen("127.0.0.1", 0)
    silent.listen()
    timeline = Timeline()
    call = TwinCall("+15550100", "+15550123", "inbound", caller=ScriptedCaller([]))
    media = MediaStream(
        f"ws://127.0.0.1:{silent.getsockname()[1]}/media",
        {},
        call_sid=call.sid,
        account=TwinAccount.fresh(),
        timeline=timeline,
        connect_limit_s=0.2,
    )
    end = await media.run(Line(call.caller, call.recorder, timeline))
    silent.close()
    assert end == "failed"
    assert timeline.errors() == [31901]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a CA with openssl")
async def test_e34_wss_with_an_own_ca(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    files = ["-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    await asyncio.to_thread(subprocess.run, make + files + names, check=True, capture_output=True)
    app, opened = FastAPI(), asyncio.Event()

    @app.websocket("/media")
    async def media(websocket: WebSocket) -> None:
        await websocket.accept()
        opened.set()
        await websocket.close()

    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            lifespan="off",
        )
    )
    voice = (
        '<Response><Connect><Stream url="wss://localhost:'
        f'{bound.getsockname()[1]}/media"/></Connect></Response>'
    )
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server._serve(sockets=[bound]))
        trusted = ssl.create_default_context(cafile=str(certificate))
        good, _ = await stream(listen_only, voice=voice, tls=trusted)
        distrusted, _ = await stream(listen_only, voice=voice)
        server.should_exit = True
        await serving
    assert opened.is_set()
    assert good.timeline.errors() == []
    assert distrusted.timeline.errors() == [31910]


@pytest.mark.parametrize(
    ("on_stream_loss", "verbs"), [("continue", ["Connect", "Pause"]), ("hang_up", ["Connect"])]
)
async def test_e42_a_connection_that_breaks_continues_or_hangs_up(
    on_stream_loss: str, verbs: list[str]
) -> None:
    async def breaks(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with serve(breaks, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connect = f'<Connect><Stream url="ws://127.0.0.1:{port}/media"/></Connect>'
        voice = f'<Response>{connect}<Pause length="0"/></Response>'
        call, _ = await stream(listen_only, voice=voice, on_stream_loss=on_stream_loss)
    assert [verb["name"] for verb in call.timeline.of("verb")] == verbs


def test_e40_a_reader_that_is_too_slow_loses_audio_and_is_told_once() -> None:
    timeline = Timeline()
    stream = MediaStream(
        "ws://nobody", {}, call_sid="CA1", account=TwinAccount.fresh(), timeline=timeline
    )
    for _ in range(2 * QUEUED_MESSAGES):
        stream.hear(SILENT_FRAME)
    assert timeline.errors() == [31930]
