"""What a server tells balancers and Prometheus, to whom, and what becomes of a stuck one."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.serving.conftest import Running, Start, send, until
from vita_model.engine.voice import EngineStats
from vita_model.serving.key_file import KeyFile, Keys
from vita_model.serving.keys import Key, digest_of

pytestmark = pytest.mark.integration


async def get(running: Running, path: str, key: str = "", **headers: str) -> httpx.Response:
    shown = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://{running.address}{path}", headers=shown | headers)


def samples(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def answered(running: Running, question: bytes) -> None:
    """One spoken turn and its answer."""
    async with running.connect() as socket:
        session: dict[str, Any] = {"audio": {"input": {"transcription": {"model": "any"}}}}
        await send(socket, "session.update", session=session)
        for at in range(0, len(question), 48_000):
            audio = base64.b64encode(question[at : at + 48_000]).decode()
            await send(socket, "input_audio_buffer.append", audio=audio)
        await until(socket, "response.done")
        await send(socket, "response.cancel")
        await until(socket, "error")


async def test_a_turn_is_measured(start: Start, question: bytes) -> None:
    async with start(max_sessions=3) as running:
        await answered(running, question)
        await asyncio.wait_for(running.server.slots.empty.wait(), 10)
        load = (await get(running, "/load")).json()
        found = samples((await get(running, "/metrics")).text)
    assert (load["active"], load["max"], load["free"], load["draining"]) == (0, 3, 3, False)
    assert load["first_audio_s"]["count"] == 1
    assert 0 <= load["first_audio_s"]["p50"] <= load["first_audio_s"]["p95"]
    assert load["engine"]["sessions"] == 1
    assert found["vita_model_turns_total"] == 1
    assert found['vita_model_replies_total{status="completed"}'] == 1
    assert found["vita_model_first_audio_seconds_count"] == 1
    assert found["vita_model_hearing_seconds_count"] == 1
    assert found["vita_model_reply_seconds_count"] == 1
    assert sum(value for name, value in found.items() if "errors_total" in name) == 1
    assert found["vita_model_session_slots"] == 3


async def test_refusals_are_counted_by_reason_and_told(start: Start) -> None:
    async with start(max_sessions=4, memory_limit=1 << 20) as running:
        with pytest.raises(InvalidStatus) as refused:
            await running.connect()
        load = (await get(running, "/load")).json()
        found = samples((await get(running, "/metrics")).text)
    assert refused.value.response.status_code == 503
    assert json.loads(refused.value.response.body)["error"]["code"] == "memory"
    assert (load["free"], load["reason"]) == (0, "memory")
    assert found['vita_model_sessions_refused_total{reason="memory"}'] == 1


@pytest.mark.parametrize("path", ["/load", "/metrics"])
async def test_measurements_are_for_this_machine_and_for_keys_only(start: Start, path: str) -> None:
    keys = Keys([Key("m", digest_of("seer"), frozenset({"metrics"}))])
    async with start(keys=keys) as running:
        assert (await get(running, path)).status_code == 200
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        assert (await get(running, path, **proxied)).status_code == 401
        assert (await get(running, path, "other", **proxied)).status_code == 401
        assert (await get(running, path, "seer", **proxied)).status_code == 200
        assert (await get(running, "/v1/models", "seer")).status_code == 401
    async with start() as running:
        assert (await get(running, path, **proxied)).status_code == 401


async def test_a_changed_file_of_keys_counts_without_a_restart(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    async with start(keys=Keys(file=file)) as running:

        async def becomes(status: int) -> None:
            async with asyncio.timeout(20):
                while (await get(running, "/v1/models", "two")).status_code != status:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

        await becomes(401)  # a file without keys opens nothing
        file.add(Key("first", digest_of("one")))
        file.add(Key("second", digest_of("two")))
        await becomes(200)
        file.path.write_text("{")
        async with asyncio.timeout(20):
            while "stay as they were" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (await get(running, "/v1/models", "one")).status_code == 200
        file.path.unlink()
        await becomes(401)


async def test_a_stuck_engine_is_told_to_its_sessions(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start(stuck_after=1.0) as running, running.connect() as socket:
        await until(socket, "session.created")
        monkeypatch.setattr(running.model, "stats", lambda: EngineStats(waiting=1))
        events: list[dict[str, Any]] = await until(socket, "error")
        with pytest.raises(ConnectionClosed) as closed:
            await until(socket, "response.done")
        await asyncio.wait_for(running.server.stuck.wait(), 10)
        health, ready = await get(running, "/healthz"), await get(running, "/readyz")
        with pytest.raises(InvalidStatus):
            await running.connect()
    assert events[-1]["error"]["code"] == "engine_stuck"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert (health.status_code, ready.status_code) == (503, 503)
    assert ready.json()["reason"] == "stuck"
