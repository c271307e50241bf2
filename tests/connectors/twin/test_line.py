"""The answered phone and the buffer it plays, on a clock turned by hand."""

from __future__ import annotations

import pytest

from agent import mulaw
from connectors.twilio.twin.audio import SILENT_FRAME, tone
from connectors.twilio.twin.caller import Pause, Press, ScriptedCaller, Speak, Step
from connectors.twilio.twin.heard import Gap, Recorder
from connectors.twilio.twin.line import LONGEST_BURST, FrameClock, Line
from connectors.twilio.twin.playout import Playout
from connectors.twilio.twin.timeline import Timeline

pytestmark = pytest.mark.unit


class Notes:
    """An ear that keeps everything."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.missed = 0
        self.keys: list[str] = []
        self.marks: list[str] = []

    def hear(self, frame: bytes) -> None:
        self.frames.append(frame)

    def miss(self) -> None:
        self.missed += 1

    def press(self, digit: str) -> None:
        self.keys.append(digit)

    def played(self, marks: tuple[str, ...]) -> None:
        self.marks.extend(marks)


def line(*steps: Step) -> tuple[Line, Recorder]:
    recorder = Recorder()
    return Line(ScriptedCaller(steps), recorder, Timeline()), recorder


def test_e36_fifty_frames_a_second_on_an_absolute_clock() -> None:
    clock = FrameClock(100.0)
    total, now = 0, 100.0
    for late in (0.0, 0.013, 0.001, 0.019, 0.004) * 100:
        lost, due = clock.due(now + late)
        assert lost == 0
        total += due
        now = clock.next_at
    assert total == 500
    assert now == pytest.approx(110.0)


def test_e36_a_stall_is_made_up_for_up_to_a_second() -> None:
    clock = FrameClock(0.0)
    assert clock.due(0.0) == (0, 1)
    assert clock.due(0.5) == (0, 25)
    assert clock.due(0.5) == (0, 0)
    assert clock.due(3.5) == (100, LONGEST_BURST)
    assert clock.next_at == pytest.approx(3.52)


def test_e36_silence_is_sent_between_utterances() -> None:
    phone, _ = line(Pause(60), Speak(tone(40)), Pause(60))
    ear = Notes()
    with phone.connected(Playout(), ear):
        while phone.tick():
            pass
    said = mulaw.encode(tone(40))
    silence = [SILENT_FRAME] * 3
    assert ear.frames == [*silence, said[:160], said[160:], *silence]


def test_frames_lost_in_a_stall_never_reach_the_ear() -> None:
    phone, _ = line(Pause(100))
    ear = Notes()
    with phone.connected(Playout(), ear):
        phone.tick(lost=True)
        phone.tick()
    assert (ear.missed, len(ear.frames)) == (1, 1)


def test_keys_reach_whoever_listens() -> None:
    phone, _ = line(Press("7#"))
    ear = Notes()
    with phone.connected(Playout(), ear):
        while phone.tick():
            pass
    assert ear.keys == ["7", "#"]


def test_a_caller_connected_to_nobody_hears_silence() -> None:
    phone, recorder = line(Pause(100))
    while phone.tick():
        pass
    heard = recorder.heard()
    assert heard.length_ms == 100
    assert not heard.agent.any()
    assert heard.first_audio_ms is None


def test_e37_audio_plays_in_real_time_and_marks_come_when_it_has_played() -> None:
    playout = Playout()
    audio = mulaw.encode(tone(100))
    playout.push(audio[:500])
    playout.push(audio[500:])
    playout.mark("done")
    played = [playout.pull() for _ in range(7)]
    assert b"".join(frame.frame for frame in played)[:800] == audio
    assert [frame.marks for frame in played] == [(), (), (), (), ("done",), (), ()]
    assert [frame.fed for frame in played] == [160] * 5 + [0] * 2


def test_e37_a_mark_in_the_middle_comes_in_the_middle() -> None:
    playout = Playout()
    for name in ("a", "b"):
        playout.push(b"\x10" * 200)
        playout.mark(name)
    assert [playout.pull().marks for _ in range(3)] == [(), ("a",), ("b",)]


def test_e37_a_mark_on_an_empty_buffer_comes_at_once() -> None:
    playout = Playout()
    playout.mark("now")
    assert playout.pull().marks == ("now",)


def test_e37_clear_empties_the_buffer_and_returns_pending_marks() -> None:
    playout = Playout()
    playout.push(b"\x10" * 1600)
    playout.mark("first")
    playout.push(b"\x10" * 1600)
    playout.mark("second")
    playout.pull()
    assert playout.queued_ms == 380
    assert playout.clear() == ("first", "second")
    assert (playout.queued_ms, playout.pull().fed) == (0, 0)
    playout.push(b"\x20" * 160)
    playout.mark("third")
    assert playout.pull().marks == ("third",)


def test_e38_first_audio_and_answers_are_timed_from_what_was_heard() -> None:
    phone, recorder = line(Pause(200), Speak(tone(100)), Pause(400))
    playout = Playout()
    with phone.connected(playout, Notes()):
        number = 0
        while True:
            if number == 5:
                playout.push(mulaw.encode(tone(60)))
            if number == 22:
                playout.push(mulaw.encode(tone(60)))
            if not phone.tick():
                break
            number += 1
    heard = recorder.heard()
    assert heard.first_audio_ms == 100
    assert heard.answer_delays_ms == (140,)
    assert heard.length_ms == 700
    assert heard.overlap_ms == 0


def test_e38_a_stutter_is_a_gap_and_a_pause_is_not() -> None:
    recorder = Recorder()
    for fed in [*[True] * 5, *[False] * 2, *[True] * 5, *[False] * 40, *[True] * 5]:
        recorder.add(SILENT_FRAME, SILENT_FRAME, fed=fed, voiced=fed, speaking=False)
    assert recorder.heard().gaps == (Gap(start_ms=100, length_ms=40),)


def test_e38_overlap_is_both_speaking() -> None:
    recorder = Recorder()
    for speaking, voiced in [(True, False), (True, True), (True, True), (False, True)]:
        recorder.add(SILENT_FRAME, SILENT_FRAME, fed=voiced, voiced=voiced, speaking=speaking)
    assert recorder.heard().overlap_ms == 40


def test_e38_the_recording_is_true_to_time() -> None:
    phone, recorder = line(Pause(100), Speak(tone(100)), Pause(100))
    playout = Playout()
    playout.push(mulaw.encode(tone(40)))
    with phone.connected(playout, Notes()):
        while phone.tick():
            pass
    heard = recorder.heard()
    assert heard.agent[:320].any()
    assert not heard.agent[320:].any()
    assert not heard.caller[:800].any()
    assert mulaw.encode(heard.caller[800:1600]) == mulaw.encode(tone(100))
