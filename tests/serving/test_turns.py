"""Turns from speech probabilities."""

from __future__ import annotations

import pytest

from vita_model.serving.turns import MAX_TURN_WINDOWS, Signal, TurnDetector, TurnRules

pytestmark = pytest.mark.unit

STARTED, LOOK, PAUSED, RESUMED, STOPPED = Signal


def _signals(windows: str, rules: TurnRules | None = None) -> list[tuple[int, Signal]]:
    """`#` is speech, `.` is silence, `-` is in between."""
    detector = TurnDetector(rules or TurnRules())
    level = {"#": 0.9, ".": 0.1, "-": 0.4}
    return [
        (at, signal) for at, window in enumerate(windows) for signal in detector.feed(level[window])
    ]


def test_a_turn_from_onset_to_silence() -> None:
    assert _signals("..####" + "." * 16) == [
        (3, STARTED),
        (10, LOOK),
        (11, PAUSED),
        (21, STOPPED),
    ]


def test_a_click_is_no_speech() -> None:
    assert _signals("..#..#.-#..") == []


def test_quiet_speech_holds_a_turn_but_does_not_begin_one() -> None:
    assert _signals("----") == []
    assert _signals("##" + "-" * 8) == [(1, STARTED), (8, LOOK)]


def test_short_gaps_are_part_of_speech() -> None:
    signals = _signals("##...##...##...##.")
    assert [signal for _, signal in signals if signal is not LOOK] == [STARTED]


def test_speech_after_a_pause_goes_on_with_the_turn() -> None:
    signals = _signals("####........####" + "." * 16)
    assert [signal for _, signal in signals if signal is not LOOK] == [
        STARTED,
        PAUSED,
        RESUMED,
        PAUSED,
        STOPPED,
    ]


def test_looks_count_little_pauses_too() -> None:
    assert _signals("####...##") == [(1, STARTED), (8, LOOK)]
    assert _signals("####.....") == [(1, STARTED), (8, LOOK)]
    assert _signals("###......") == [(1, STARTED), (8, PAUSED)]


def test_a_soft_beginning_counts_towards_the_first_look() -> None:
    assert _signals("......####") == [(7, STARTED)]
    assert _signals("-----####.") == [(6, STARTED), (8, LOOK)]
    assert _signals("----.####.") == [(6, STARTED)]


def test_a_long_murmur_before_speech_counts_for_300_ms_at_most() -> None:
    detector = TurnDetector(TurnRules())
    for _ in range(30):
        detector.feed(0.4)
    for _ in range(2):
        detector.feed(0.9)
    assert (detector.spoken_ms, detector.elapsed_ms) == (64, 352)


def test_looks_are_frequent_while_a_decision_is_due_and_seldom_later() -> None:
    looks = [at + 1 for at, signal in _signals("#" * 40) if signal is LOOK]
    assert looks == [9, 11, 13, 14, 15, 17, 21, 25, 29, 33, 37]


def test_a_turn_waits_longer_or_ends_sooner_when_told_to() -> None:
    detector = TurnDetector(TurnRules())
    for _ in range(4):
        detector.feed(0.9)
    detector.wait(960)
    silence = [signal for _ in range(30) for signal in detector.feed(0.1)]
    assert [signal for signal in silence if signal is not LOOK] == [PAUSED, STOPPED]
    assert _after(detector, 960) == 30
    assert _after(detector, 224) == 7


def _after(detector: TurnDetector, silence_ms: int) -> int:
    """Silent windows until a turn of four windows ends."""
    for _ in range(4):
        detector.feed(0.9)
    detector.wait(silence_ms)
    return next(at for at in range(1, 100) if STOPPED in detector.feed(0.1))


def test_patience_is_forgotten_when_the_caller_speaks_on() -> None:
    detector = TurnDetector(TurnRules(silence_ms=320))
    for _ in range(4):
        detector.feed(0.9)
    detector.wait(3_200)
    for probability in (0.1, 0.9, 0.9):
        detector.feed(probability)
    assert next(at for at in range(1, 100) if STOPPED in detector.feed(0.1)) == 10


def test_an_impatient_rule_pauses_and_stops_at_once() -> None:
    rules = TurnRules(silence_ms=100)
    assert _signals("###...", rules) == [(1, STARTED), (5, PAUSED), (5, STOPPED)]


def test_a_turn_has_an_end_even_without_silence() -> None:
    signals = [signal for _, signal in _signals("#" * (MAX_TURN_WINDOWS + 2)) if signal != LOOK]
    assert signals == [STARTED, STOPPED, STARTED]
