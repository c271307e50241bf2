"""`vita call-out`: one process asks, the carrier rings, another process talks."""

from __future__ import annotations

import re
import socket
import sqlite3
import time
from pathlib import Path

import httpx
import pytest
import yaml

from tests.end_to_end.running import background, command, vita

pytestmark = pytest.mark.end_to_end

LINE = {
    "number": "+15550100",
    "business": "Brightside Dental",
    "greeting": "Hello.",
    "outbound": {"greeting": "It is about tomorrow.", "time_zone": "UTC", "hours": "0:00-24:00"},
}


def test_someone_is_called_by_one_command_and_talked_to_by_the_running_agent(
    parrot: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    lines = tmp_path / "lines.yaml"
    lines.write_text(yaml.safe_dump({"lines": [LINE]}))
    data = tmp_path / "data"
    env = environment | {"VITA_DATA_DIR": str(data), "VITA_LINES_FILE": str(lines)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    agent = f"http://127.0.0.1:{port}"
    with background(command("twin", "--port", "0", "--agent", agent), "The twin") as (said, _):
        twin = re.findall(r"http://[\d.:]+", said)[0]
        script = [{"do": "wait_for_agent", "limit_s": 20}, {"do": "hang_up"}]
        callee = {"ring_s": 0.1, "script": script}
        httpx.put(f"{twin}/_emu/callees/+15550123", json=callee, trust_env=False)
        serve = command("serve", "--port", port, "--twin", twin, "--model-url", parrot)
        with background(["env", *[f"{k}={v}" for k, v in env.items()], *serve], "agent_answers"):
            options = ("--line", "+15550100", "--to", "+15550123", "--twin", twin)
            refused = vita("call-out", *options, "--agent", agent, env=env)
            placed = vita("call-out", *options, "--agent", agent, "--consent", "form 7", env=env)
            assert placed.code == 0, placed.err
            (call_id,) = re.findall(r"calls show ([0-9a-f]{32})", placed.out)
            for _ in range(200):
                if _state(data, call_id) == ("ended", "caller_hung_up"):
                    break
                time.sleep(0.1)
    assert refused.code == 1
    assert "name their consent" in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    with sqlite3.connect(data / "calls.db") as log:
        said = log.execute("SELECT pii_heard FROM utterances WHERE call_id = ?", (call_id,))
        assert said.fetchall() == [("It is about tomorrow.",)]


def _state(data: Path, call_id: str) -> tuple[str, str] | None:
    with sqlite3.connect(data / "calls.db") as log:
        found = log.execute("SELECT state, end_reason FROM calls WHERE id = ?", (call_id,))
        row: tuple[str, str] | None = found.fetchone()
    return row
