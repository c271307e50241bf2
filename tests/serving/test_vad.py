"""The real detector on real speech."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vita_model.audio.telephone import WireFormat, encode
from vita_model.engine.voice import Samples
from vita_model.serving.listener import Listener
from vita_model.serving.turns import Signal, TurnRules
from vita_model.serving.vad import WINDOW, SileroDetector, Together

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


def _windows(audio: Samples) -> list[Samples]:
    return [audio[at : at + WINDOW] for at in range(0, len(audio) - WINDOW + 1, WINDOW)]


async def test_sessions_judged_together_hear_what_each_would_hear_alone() -> None:
    speech = _with_silence()
    callers = [_windows(speech[start:])[:60] for start in (0, 5_000, 9_000)]
    alone = []
    for windows in callers:
        detector = SileroDetector()
        alone.append([detector.probability(window) for window in windows])
    together, detectors = Together(), [SileroDetector() for _ in callers]
    found: list[list[float]] = [[] for _ in callers]
    for at in range(0, 60, 6):

        async def ask(number: int, pieces: int) -> None:
            for start in range(at, at + 6, pieces):  # noqa: B023 - awaited in this round
                windows = callers[number][start : start + pieces]
                found[number] += await together.probabilities(detectors[number], windows)

        await asyncio.gather(ask(0, 1), ask(1, 2), ask(2, 6))
    assert max(max(own) for own in found) > 0.9
    assert np.allclose(found, alone, atol=1e-4)


async def test_a_session_that_ends_while_it_waits_holds_up_nobody() -> None:
    together, windows = Together(), _windows(_with_silence())[:2]
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(together.probabilities(SileroDetector(), windows))
        stays = group.create_task(together.probabilities(SileroDetector(), windows))
        await asyncio.sleep(0)
        gone.cancel()
    assert len(stays.result()) == 2
