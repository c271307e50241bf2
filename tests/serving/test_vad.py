"""The real detector on real speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vita_model.audio.telephone import WireFormat, encode
from vita_model.engine.voice import Samples
from vita_model.serving.listener import Listener
from vita_model.serving.turns import Signal, TurnRules
from vita_model.serving.vad import SileroDetector

pytestmark = pytest.mark.integration

QUESTION = Path(__file__).parent / "question.flac"


def _with_silence() -> Samples:
    """Half a second of hiss, 1.9 s of speech, one second of hiss; 16 kHz."""
    speech, _ = soundfile.read(QUESTION, dtype="float32")
    audio = np.concatenate([np.zeros(8_000), speech, np.zeros(16_000)]).astype(np.float32)
    hiss = np.random.default_rng(3).standard_normal(len(audio)).astype(np.float32)
    return audio + 0.001 * hiss


def _signals(audio: Samples, wire: WireFormat) -> list[tuple[Signal, int]]:
    listener = Listener(SileroDetector(), wire, TurnRules())
    rate = 8_000 if wire == "audio/pcmu" else 24_000
    at = np.arange(0, len(audio), 16_000 / rate)
    data = encode(np.interp(at, np.arange(len(audio)), audio).astype(np.float32), wire)
    return [
        (turn.signal, turn.at_ms)
        for start in range(0, len(data), 320)
        for turn in listener.feed(data[start : start + 320])
    ]


@pytest.mark.parametrize("wire", ["audio/pcm", "audio/pcmu"])
def test_one_question_is_one_turn(wire: WireFormat) -> None:
    signals = _signals(_with_silence(), wire)
    turns = [(s, at) for s, at in signals if s in {Signal.STARTED, Signal.STOPPED}]
    assert [signal for signal, _ in turns] == [Signal.STARTED, Signal.STOPPED]
    (_, started), (_, stopped) = turns
    assert 150 <= started <= 700
    assert 2_400 <= stopped <= 3_200


def test_a_tone_and_hiss_are_no_speech() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    hiss = 0.1 * np.random.default_rng(4).standard_normal(32_000)
    assert _signals(np.concatenate([tone, hiss]).astype(np.float32), "audio/pcm") == []
