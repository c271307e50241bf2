"""Partial settings: absent stays, null clears, nonsense changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from vita_model.serving.events import ProtocolError
from vita_model.serving.session import Session
from vita_model.serving.turns import TurnRules

pytestmark = pytest.mark.unit


def _input(patch: dict[str, Any], session: Session | None = None) -> Session:
    return (session or Session()).updated({"audio": {"input": patch}})


def test_absent_keeps_and_null_switches_off() -> None:
    assert Session().rules == TurnRules(0.5, 300, 500)
    off = _input({"turn_detection": None})
    assert off.rules is None
    assert _input({"noise_reduction": None}, off).rules is None
    on = _input({"turn_detection": {"silence_duration_ms": 200}}, off)
    assert on.rules == TurnRules(0.5, 300, 200)
    assert _input({"turn_detection": {"threshold": 0.7}}, on).rules == TurnRules(0.7, 300, 200)


def test_null_is_the_default_where_there_is_no_off() -> None:
    session = Session(instructions="Be brief.").updated(
        {"instructions": None, "tools": None, "max_output_tokens": None, "tracing": None}
    )
    assert (session.instructions, session.tools, session.max_output_tokens) == ("", [], "inf")


def test_formats_change_as_a_whole() -> None:
    phone = _input({"format": {"type": "audio/pcmu"}})
    assert phone.model_dump()["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    browser = _input({"format": {"type": "audio/pcm", "rate": 24_000}}, phone)
    shown = browser.model_dump()["audio"]
    assert shown["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert shown["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}


@pytest.mark.parametrize(("eagerness", "silence"), [("low", 1_200), ("auto", 640), ("high", 420)])
def test_an_eager_agent_waits_for_less_silence(eagerness: str, silence: int) -> None:
    detection = {"type": "semantic_vad", "eagerness": eagerness}
    rules = _input({"turn_detection": detection}).rules
    assert rules is not None
    assert rules.silence_ms == silence


def test_numbers_out_of_range_are_clamped() -> None:
    detection = {"threshold": 7, "silence_duration_ms": -1, "prefix_padding_ms": 99_999}
    assert _input({"turn_detection": detection}).rules == TurnRules(0.95, 5_000, 0)


def test_the_voice_stays_once_the_agent_has_spoken() -> None:
    session = Session().updated({"audio": {"output": {"voice": "marin"}}})
    assert session.audio.output.voice == "marin"
    later = session.updated(
        {"audio": {"output": {"voice": "other"}}, "instructions": "x"}, voice_frozen=True
    )
    assert (later.audio.output.voice, later.instructions) == ("marin", "x")


@pytest.mark.parametrize(
    ("patch", "param"),
    [
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "session.audio.input.format"),
        ({"audio": {"output": {"format": {"rate": 16_000}}}}, "session.audio.output.format"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools.0.type"),
        ({"output_modalities": ["video"]}, "session.output_modalities.0"),
        ({"type": "transcription"}, "session.type"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
    ],
)
def test_nonsense_is_refused_with_its_place(patch: dict[str, Any], param: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Session().updated(patch)
    assert (caught.value.param or "").startswith(param)
    assert param in str(caught.value)
