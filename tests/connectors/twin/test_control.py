"""The twin's own HTTP interface."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import httpx
import pytest
import soundfile

from connectors.twilio.twin import Twin
from connectors.twilio.twin.audio import tone
from tests.connectors.twin.customer import Site, site_and_twin

pytestmark = pytest.mark.integration

WAIT = {"do": "wait_for_end", "limit_s": 30}


def recording(length_ms: int) -> str:
    content = BytesIO()
    soundfile.write(content, tone(length_ms), 8000, format="WAV")
    return base64.b64encode(content.getvalue()).decode()


@asynccontextmanager
async def emulator(voice: str) -> AsyncIterator[tuple[Twin, httpx.AsyncClient]]:
    async with site_and_twin(Site({"/voice": voice})) as twin:
        base = f"{twin.url}/_emu"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            yield twin, client


async def finished(twin: Twin, client: httpx.AsyncClient, sid: str) -> dict[str, Any]:
    run = twin.find(sid)
    assert run is not None
    await run.call.wait_ended(20)
    record: dict[str, Any] = (await client.get(f"/calls/{sid}")).json()
    return record


async def test_e1_a_call_is_placed_with_its_script() -> None:
    script = [
        {"do": "wait_for_agent", "silence_ms": 100, "limit_s": 10},
        {"do": "say", "audio": recording(100)},
        {"do": "pause", "ms": 100},
        {"do": "press", "digits": "1"},
        {"do": "hang_up"},
    ]
    voice = '<Response><Say>Hi</Say><Pause length="20"/></Response>'
    async with emulator(voice) as (twin, client):
        body = {"to": "+15550100", "from": "+15550124", "script": script}
        placed = await client.post("/calls", json=body)
        record = await finished(twin, client, placed.json()["sid"])
    assert placed.status_code == 201
    assert (record["to"], record["from"]) == ("+15550100", "+15550124")
    assert (record["status"], record["gave_up"]) == ("completed", "")
    assert record["first_audio_ms"] is not None


async def test_e1_a_wrong_script_is_refused() -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"to": "+15550100", "script": [{"do": "dance"}]},
        {"to": "+15550100", "script": [{"do": "press", "digits": "x"}]},
        {"to": "+15550100", "script": [{"do": "say", "audio": "%%"}]},
        {"to": "+15550100", "script": [{"do": "say", "audio": "AAAA"}]},
        {"to": "+15550100", "surprise": 1},
    ]
    async with emulator("<Response/>") as (twin, client):
        answers = [await client.post("/calls", json=body) for body in bodies]
        assert not twin.calls
    assert [answer.status_code for answer in answers] == [422] * 6


async def test_e2_the_policy_of_a_number_can_be_set() -> None:
    voice = '<Response><Dial timeout="5">+15550199</Dial></Response>'
    async with emulator(voice) as (twin, client):
        body = {"policy": "busy", "ring_s": 0.05}
        assert (await client.put("/callees/+15550199", json=body)).status_code == 204
        placed = await client.post("/calls", json={"to": "+15550100", "script": [WAIT]})
        record = await finished(twin, client, placed.json()["sid"])
    dialled = [entry["detail"] for entry in record["timeline"] if entry["kind"] == "dial"]
    assert dialled[-1]["status"] == "busy"


@pytest.mark.parametrize("do", ["press", "say", "go_silent"])
async def test_e3_the_caller_can_be_steered(do: str) -> None:
    action: dict[str, Any] = {"do": do}
    action |= {"press": {"digits": "5"}, "say": {"audio": recording(60)}}.get(do, {})
    async with emulator('<Response><Pause length="30"/></Response>') as (twin, client):
        sid = (await client.post("/calls", json={"to": "+15550100", "script": [WAIT]})).json()[
            "sid"
        ]
        assert (await client.post(f"/calls/{sid}/actions", json=action)).status_code == 202
        assert (await client.get(f"/calls/{sid}")).json()["status"] != "completed"
        await client.post(f"/calls/{sid}/actions", json={"do": "hang_up"})
        record = await finished(twin, client, sid)
    assert record["status"] == "completed"


async def test_e4_a_call_record_holds_the_whole_timeline_and_the_sound() -> None:
    async with emulator("<Response><Say>Hi</Say></Response>") as (twin, client):
        sid = (await client.post("/calls", json={"to": "+15550100", "script": [WAIT]})).json()[
            "sid"
        ]
        record = await finished(twin, client, sid)
        wav = (await client.get(f"/calls/{sid}/heard.wav")).content
        listed = (await client.get("/calls")).json()
    kinds = [entry["kind"] for entry in record["timeline"]]
    assert kinds == ["status", "request", "status", "verb", "status"]
    request = record["timeline"][1]["detail"]
    assert (request["method"], request["status"]) == ("POST", 200)
    times = [entry["at_ms"] for entry in record["timeline"]]
    assert times == sorted(times)
    samples, rate = soundfile.read(BytesIO(wav))
    assert (rate, samples.ndim) == (8000, 1)
    assert len(samples) >= 3200
    assert [call["sid"] for call in listed] == [sid]


async def test_e4_an_unknown_call_is_not_found() -> None:
    async with emulator("<Response/>") as (_, client):
        for path in ("/calls/CA0", "/calls/CA0/heard.wav"):
            assert (await client.get(path)).status_code == 404


async def test_e5_reset_ends_and_forgets_everything() -> None:
    async with emulator('<Response><Pause length="60"/></Response>') as (twin, client):
        await client.put("/callees/+15550199", json={"policy": "busy"})
        await client.post("/calls", json={"to": "+15550100", "script": [WAIT]})
        (call,) = twin.calls
        assert (await client.post("/reset")).status_code == 204
        await call.wait_ended(5)
        assert (await client.get("/calls")).json() == []
    assert call.is_over


async def test_e6_faults_are_switched_on_and_off() -> None:
    async with emulator("<Response/>") as (twin, client):
        frames = {"loss": 0.5, "bad": ["binary"]}
        body = {"rest": [429], "lost_answers": 2, "status_copies": 3, "frames": frames}
        assert (await client.put("/faults", json=body)).status_code == 204
        assert list(twin.faults.rest) == [429]
        assert (twin.faults.lost_answers, twin.faults.status_copies) == (2, 3)
        assert (twin.faults.frames.loss, list(twin.faults.frames.bad)) == (0.5, ["binary"])
        assert (await client.put("/faults", json={})).status_code == 204
        assert (twin.faults.lost_answers, twin.faults.frames.loss) == (0, 0.0)
        assert (await client.put("/faults", json={"frames": {"loss": 2}})).status_code == 422
