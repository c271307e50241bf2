"""A served agent in operation: given lines, told to stop in mid-call, measured, and its log."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.server import listen
from connectors.twilio.config import STATUS_PATH, VOICE_PATH
from connectors.twilio.twin import (
    HangUp,
    Pause,
    Speak,
    Twin,
    TwinAccount,
    WaitForAgent,
    WaitForEnd,
)
from connectors.twilio.twin.audio import load_audio
from connectors.twilio.twin.call import TwinCall
from tests.end_to_end.running import ROOT, command

pytestmark = pytest.mark.end_to_end

CALLER = "+15550123"
QUESTION = Speak(load_audio(ROOT / "tests" / "serving" / "question.flac"))
TOKEN = "for-the-one-who-measures"


async def _lines_until(process: asyncio.subprocess.Process, event: str) -> list[dict[str, Any]]:
    assert process.stderr is not None
    lines = []
    async for raw in process.stderr:
        lines.append(json.loads(raw))
        if lines[-1]["event"] == event:
            return lines
    raise AssertionError(f"it ended: {lines}")


def _said(call: TwinCall) -> list[str]:
    return [verb["text"] for verb in call.timeline.of("verb") if verb["name"] == "Say"]


async def test_applied_lines_count_at_once_and_a_call_outlives_the_order_to_stop(
    parrot: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    with listen("127.0.0.1", 0) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    env = environment | {
        "VITA_DATA_DIR": str(tmp_path),
        "VITA_LOG_FORMAT": "json",
        "VITA_METRICS_TOKEN": TOKEN,
    }
    account = TwinAccount()
    async with (
        asyncio.timeout(90),
        Twin(url + VOICE_PATH, status_url=url + STATUS_PATH, account=account) as twin,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        options = ["--port", url.rpartition(":")[2], "--twin", twin.url, "--model-url", parrot]
        agent = await asyncio.create_subprocess_exec(
            *command("serve", *options), env=env, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        try:
            log = await _lines_until(agent, "agent_answers")
            assert [line["reason"] for line in log if line["event"] == "no_lines"]
            early = await twin.place_call(to="+15550100", from_=CALLER, script=[WaitForEnd()])
            await early.wait_ended(30)
            apply = command("lines", "apply", ROOT / "agent" / "demo" / "lines.yaml", "--yes")
            applied = await asyncio.create_subprocess_exec(
                *apply, env=env, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
            )
            assert await applied.wait() == 0
            log += await _lines_until(agent, "lines_taken")
            script = [WaitForAgent(), QUESTION, WaitForAgent(), Pause(2500), QUESTION]
            script += [WaitForAgent(), HangUp()]
            call = await twin.place_call(to="+15550100", from_=CALLER, script=script)
            log += await _lines_until(agent, "turn_answered")
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            measured = (await client.get("/metrics", headers=bearer)).text
            agent.send_signal(signal.SIGTERM)
            log += await _lines_until(agent, "agent_drains")
            ready = await client.get("/readyz")
            late = await twin.place_call(to="+15550100", script=[WaitForEnd()])
            await late.wait_ended(30)
            await call.wait_ended(60)
            _, rest = await agent.communicate()
            log += [json.loads(line) for line in rest.splitlines()]
        finally:
            if agent.returncode is None:
                agent.kill()
    assert agent.returncode == 0
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
    assert "not in service" in _said(early)[0]
    assert "busy" in _said(late)[0]
    assert not call.gave_up
    assert len(call.heard.answer_delays_ms) >= 2, "it answered after the order to stop, too"
    assert "va_calls_live 1.0" in measured
    assert 'va_calls_admitted_total{carrier="twilio",direction="inbound"} 1.0' in measured
    _every_line_of_the_call_is_bound(log)


def _every_line_of_the_call_is_bound(log: list[dict[str, Any]]) -> None:
    of_calls = {"call_admitted", "media_started", "model_link", "turn_answered", "media_ended"}
    seen = {line["event"] for line in log if "call_id" in line}
    assert of_calls <= seen
    assert len({line["call_id"] for line in log if "call_id" in line}) == 1
    assert not [line for line in log if line["event"] in of_calls and "call_id" not in line]
    assert CALLER not in json.dumps(log)
    assert not [line for line in log if line["level"] in {"error", "critical"}]
