"""Time within a call, by a clock that is turned by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.pipeline.timeline import CallerTape, CallTime

pytestmark = pytest.mark.unit


class HandClock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at


def test_caller_audio_keeps_its_own_spacing_whatever_the_network_does() -> None:
    clock = HandClock()
    time = CallTime(clock)
    clock.at = 101.02
    assert time.caller_ms(500, 20) == 1000
    clock.at = 107.0
    assert time.caller_ms(520, 20) == 1020
    assert time.ms() == 7000
    assert time.sample(101.0) == 8000


def test_the_tape_gives_back_everything_from_a_moment_on() -> None:
    tape = CallerTape()
    for step in range(10):
        tape.add(step * 20, bytes([step]) * 160)
    assert tape.since(150) == (160, bytes([8]) * 160 + bytes([9]) * 160)
    assert tape.since(1000) == (1000, b"")
    assert tape.end_ms == 200


def test_the_tape_forgets_what_is_older_than_twenty_seconds() -> None:
    tape = CallerTape()
    for step in range(1500):
        tape.add(step * 20, b"\xff" * 160)
    start_ms, audio = tape.since(0)
    assert start_ms == 1499 * 20 - 20_000
    assert len(audio) == 8 * (30_000 - start_ms)
