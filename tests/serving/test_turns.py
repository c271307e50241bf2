"""Turns from speech probabilities."""

from __future__ import annotations

import pytest

from vita_model.serving.turns import MAX_TURN_WINDOWS, Signal, TurnDetector, TurnRules

pytestmark = pytest.mark.unit

STARTED, HELD, PAUSED, RESUMED, STOPPED = Signal


def _signals(windows: str, rules: TurnRules | None = None) -> list[tuple[int, Signal]]:
    """`#` is speech, `.` is silence, `-` is in between."""
    detector = TurnDetector(rules or TurnRules())
    level = {"#": 0.9, ".": 0.1, "-": 0.4}
    return [
        (at, signal) for at, window in enumerate(windows) for signal in detector.feed(level[window])
    ]


def test_a_turn_from_onset_to_silence() -> None:
    assert _signals("..####" + "." * 16) == [(3, STARTED), (11, PAUSED), (21, STOPPED)]


def test_a_click_is_no_speech() -> None:
    assert _signals("..#..#.-#..") == []


def test_quiet_speech_holds_a_turn_but_does_not_begin_one() -> None:
    assert _signals("----") == []
    assert _signals("##" + "-" * 40) == [(1, STARTED), (9, HELD)]


def test_short_gaps_are_part_of_speech() -> None:
    assert _signals("##...##...##...##.") == [(1, STARTED)]


def test_speech_after_a_pause_goes_on_with_the_turn() -> None:
    signals = _signals("####........####" + "." * 16)
    assert [signal for _, signal in signals] == [STARTED, PAUSED, RESUMED, PAUSED, STOPPED]


def test_held_counts_speech_and_not_pauses() -> None:
    assert (HELD in dict(map(reversed, _signals("####...#####"))), 1) == (False, 1)
    assert HELD in dict(map(reversed, _signals("####...######")))


def test_an_impatient_rule_pauses_and_stops_at_once() -> None:
    rules = TurnRules(silence_ms=100)
    assert _signals("###...", rules) == [(1, STARTED), (5, PAUSED), (5, STOPPED)]


def test_a_turn_has_an_end_even_without_silence() -> None:
    signals = _signals("#" * (MAX_TURN_WINDOWS + 2))
    assert [signal for _, signal in signals] == [STARTED, HELD, STOPPED, STARTED]
