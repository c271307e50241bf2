"""What the process says about itself, and what it counts."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent import metrics
from agent.api import CallControl, CallOutcome, MediaLeg
from agent.bootstrap import build
from agent.calls.context import CallContext
from agent.demo import DEMO_LINES
from agent.settings import load_settings

pytestmark = pytest.mark.integration


class Nobody:
    async def run(self, context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        raise AssertionError("no call comes")


def measured() -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


async def test_readiness_names_what_is_missing_and_the_gauges_agree(
    redis_url: str, tmp_path: Path, until
):
    status = HTTPStatus.NOT_FOUND  # a server of another make

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        writer.close()

    model = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = model.sockets[0].getsockname()[1]
    settings = load_settings(
        profile="test",
        data_dir=tmp_path,
        redis_url=redis_url,
        lines_file=DEMO_LINES,
        model_url=f"ws://127.0.0.1:{port}/v1/realtime",
        max_calls=1,
    )
    async with build(settings, runner=Nobody()) as app:

        async def ready() -> bool:
            return await app.health.not_ready() == []

        async def no_model() -> bool:
            return await app.health.not_ready() == ["model"]

        await until(ready)
        app.desk.slots.promise("a" * 32)
        assert await app.health.not_ready() == ["at_capacity"]
        await app.health.fill_gauges()
        now = measured()
        assert [now[f"va_{name}",] for name in ("ready", "calls_live", "model_up", "lines")] == [
            0,
            1,
            1,
            2,
        ]
        app.desk.slots.forget("a" * 32)
        status = HTTPStatus.SERVICE_UNAVAILABLE
        await until(no_model)
        status = HTTPStatus.OK
        await until(ready)
        model.close()
        await until(no_model)
        app.health.draining = True
        assert await app.health.not_ready() == ["draining", "model"]
        assert app.health.alive


def test_the_events_of_a_call_become_measurements():
    before = measured()
    meter = metrics.CallMeter()
    meter.saw("call_admitted", {"carrier": "twilio", "direction": "inbound"})
    for start_ms in (250, 9000):
        meter.saw("utterance", {"role": "agent", "start_ms": start_ms})
    meter.saw("turn", {"latency_ms": 700})
    meter.saw("tool_result", {"tool": "t", "status": "ok", "duration_ms": 40})
    meter.saw("call_state", {"state": "ended", "reason": "agent_ended"})
    meter.saw("call_state", {"state": "ended", "reason": "what a carrier said"})
    after = measured()
    new = {key: value - before.get(key, 0.0) for key, value in after.items()}
    assert new["va_calls_admitted_total", "twilio", "inbound"] == 1
    assert new["va_first_audio_seconds_sum",] == 0.25
    assert new["va_turn_latency_seconds_bucket", "0.6"] == 0
    assert new["va_turn_latency_seconds_bucket", "0.8"] == 1
    assert new["va_tool_seconds_count", "ok", "t"] == 1
    assert new["va_calls_ended_total", "agent_ended"] == 1
    assert new["va_calls_ended_total", "other"] == 1
