"""The examples of clients hold a conversation with a running server."""

from __future__ import annotations

import asyncio
import io
import runpy
import sys
import wave
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.serving.conftest import Start
from tests.serving.scripted_model import DONE, QUERY, spoken
from vita_model.engine.voice import Call, ToolOutput

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples" / "clients"


@pytest.mark.parametrize("script", ["openai_sdk", "pipecat_bot"])
async def test_a_recorded_question_is_answered(
    script: str,
    start: Start,
    question: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = io.StringIO()
    with wave.open(str(tmp_path / "q.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", "NONE"))
        file.writeframes(question)
    said = [["On", "its", "way."]]
    async with start(api_key="secret") as running:
        if script == "pipecat_bot":  # it speaks first
            said.insert(0, ["Good", "morning."])
            running.model.replies.append([QUERY, *spoken("Good morning."), DONE])
        running.model.replies.append([QUERY, Call("lookup_order", '{"order_id": "7"}'), DONE])
        running.model.replies.append([QUERY, *spoken("On its way."), DONE])
        monkeypatch.chdir(tmp_path)
        address = ["--url", f"http://{running.address}/v1", "--key", "secret"]
        monkeypatch.setattr(sys, "argv", [script, "q.wav", "a.wav", *address])
        path = str(EXAMPLES / f"{script}.py")
        with redirect_stdout(printed):
            await asyncio.to_thread(runpy.run_path, path, run_name="__main__")
    found = printed.getvalue()
    assert "you: 2." in found
    assert "VITA: On its way." in found
    assert "error" not in found
    with wave.open("a.wav") as answer:
        assert answer.getnframes() == 6_000 * sum(map(len, said))
    assert isinstance(running.model.requests[-1].entries[-1], ToolOutput)
