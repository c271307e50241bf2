"""A caller who says nothing after an answer: the agent speaks again, once for each time span."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from agent.audio import TELEPHONE
from agent.pipeline.model_server import session_settings
from tests.serving.scripted_model import DONE, QUERY, RATE, ScriptedModel, spoken
from tests.serving.talk import LevelDetector, Talk
from vita_model.engine.voice import Call, ReplyEvent, Samples, SystemText
from vita_model.serving.connection import ClientGoneError, Connection, Limits
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.effects import StartReply
from vita_model.serving.session import Session

pytestmark = pytest.mark.unit

TRIGGERED = "input_audio_buffer.timeout_triggered"


class QuietPeer:
    """Asks once in writing, then only listens, and hangs up when it was spoken to again."""

    def __init__(self) -> None:
        detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        self._says = [
            {"type": "session.update", "session": session},
            {"type": "response.create"},
        ]
        self._asked = asyncio.Event()
        self._kinds: list[str] = []

    async def receive(self) -> str:
        if self._says:
            return json.dumps(self._says.pop(0))
        await self._asked.wait()
        raise ClientGoneError

    async def send(self, text: str) -> None:
        self._kinds.append(json.loads(text)["type"])
        if TRIGGERED in self._kinds and self._kinds[-1] == "response.done":
            self._asked.set()

    def drop(self) -> None:
        self._asked.set()


def _answered(events: list[ReplyEvent] | None = None, **detection: Any) -> Talk:
    """A caller has asked something and was answered a moment ago."""
    settings = {"type": "server_vad", "idle_timeout_ms": 6_000, **detection}
    talk = Talk(audio={"input": {"turn_detection": settings}})
    talk.turn()
    if not talk.all(StartReply):
        talk.send("response.create")
    talk.reply(events)
    talk.clear()
    return talk


@pytest.mark.parametrize("audio", [True, False])
def test_the_agent_speaks_again_once_its_last_sound_is_played_and_the_time_is_over(
    audio: bool,
) -> None:
    talk = _answered()
    before_s = 5.9  # the answer itself still plays at first
    talk.wait(before_s, audio=audio)
    assert talk.kinds == []
    waited = before_s
    while TRIGGERED not in talk.kinds:
        talk.wait(0.1, audio=audio)
        waited += 0.1
        assert waited < 10
    assert waited > 6.1
    assert talk.kinds == [
        TRIGGERED,
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    event = talk.last(TRIGGERED)
    passed_ms = event["audio_end_ms"] - event["audio_start_ms"]
    assert 5_900 <= passed_ms <= 6_200 if audio else passed_ms == 0
    assert event["item_id"] == talk.last("input_audio_buffer.committed")["item_id"]
    entry = talk.all(StartReply)[-1].request.entries[-1]
    assert isinstance(entry, SystemText)
    assert "nothing for 6 seconds" in entry.text
    talk.wait(10, audio=audio)
    assert talk.kinds.count(TRIGGERED) == 1  # an answer is being given
    talk.reply()
    talk.wait(10, audio=audio)
    assert talk.kinds.count(TRIGGERED) == 2


async def no_speech(windows: Sequence[Samples]) -> list[float]:
    return [0.0] * len(windows)


async def test_a_client_that_sends_nothing_is_asked_too() -> None:
    """The same over a connection whose clock runs a hundred times as fast."""
    peer = QuietPeer()
    dialogue = Dialogue(
        model_name="scripted",
        output_rate=RATE,
        detector=LevelDetector(),
        clock=lambda: time.monotonic() * 100,
    )
    limits = Limits(tick=0.01)
    async with asyncio.timeout(20):
        model = ScriptedModel()
        await Connection(
            peer=peer, model=model, dialogue=dialogue, judge=no_speech, limits=limits
        ).run()
    assert len(model.requests) == 2


def test_a_caller_who_speaks_is_not_asked_whether_they_are_there() -> None:
    talk = _answered()
    talk.wait(5)
    for _ in range(50):
        talk.now += 0.1
        talk.speech(100)
    talk.wait(20)
    assert TRIGGERED not in talk.kinds
    assert talk.kinds.count("response.created") == 1


@pytest.mark.parametrize(
    ("events", "detection"),
    [
        (None, {"idle_timeout_ms": None}),
        (None, {"create_response": False}),
        ([QUERY, *spoken("One moment."), Call("lookup", "{}"), DONE], {}),
    ],
)
def test_nobody_is_asked_where_the_client_decides_or_owes_a_result(
    events: list[ReplyEvent] | None, detection: dict[str, Any]
) -> None:
    talk = _answered(events, **detection)
    talk.wait(40)
    assert talk.kinds == []


def test_before_the_first_answer_nobody_is_asked() -> None:
    talk = Talk(
        audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}}}
    )
    talk.wait(12)
    assert talk.kinds == []


@pytest.mark.parametrize(("given", "kept"), [(1, 5_000), (8_000, 8_000), (99_999, 30_000)])
def test_the_time_is_kept_within_bounds(given: int, kept: int) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": given}
    session = Session().updated({"audio": {"input": {"turn_detection": detection}}})
    shown = session.model_dump()["audio"]["input"]["turn_detection"]
    assert shown["idle_timeout_ms"] == kept


def test_the_agent_leaves_silences_to_its_own_watch() -> None:
    settings = session_settings("", [], "any", TELEPHONE)
    session = Session().updated(settings)
    detection = session.model_dump()["audio"]["input"]["turn_detection"]
    assert detection.get("idle_timeout_ms") is None
