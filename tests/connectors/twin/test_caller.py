from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent import mulaw
from agent.errors import BadAudioError
from connectors.twilio.twin import (
    HangUp,
    Pause,
    Press,
    Speak,
    Step,
    WaitForAgent,
    WaitForEnd,
    WaitForSpeech,
    questions,
)
from connectors.twilio.twin.audio import SILENT_FRAME, frames, load_audio, tone
from connectors.twilio.twin.caller import ScriptedCaller

pytestmark = pytest.mark.unit


def ticks_until_hang_up(caller: ScriptedCaller, heard: list[bool]) -> int:
    """Ticks before the caller hangs up; the agent is silent once `heard` has run out."""
    for number in range(10_000):
        if caller.tick(number < len(heard) and heard[number]).hung_up:
            return number
    raise AssertionError("the caller never hangs up")


def test_a_caller_without_a_script_hangs_up_at_once() -> None:
    assert ticks_until_hang_up(ScriptedCaller([]), []) == 0


def test_a_pause_lasts_as_long_as_it_says() -> None:
    assert ticks_until_hang_up(ScriptedCaller([Pause(1000)]), []) == 50


def test_waiting_for_the_agent_ends_after_speech_and_then_silence() -> None:
    caller = ScriptedCaller([WaitForAgent(silence_ms=200)])
    speech = [False] * 20 + [True] * 10 + [False] * 5 + [True] * 10
    assert ticks_until_hang_up(caller, speech) == len(speech) + 10 - 1
    assert not caller.gave_up


def test_silence_alone_is_no_answer() -> None:
    caller = ScriptedCaller([WaitForAgent(silence_ms=200, limit_s=3)])
    assert ticks_until_hang_up(caller, []) == 150
    assert caller.gave_up == "the agent did not finish within 3 s"


def test_an_agent_that_never_stops_is_given_up_too() -> None:
    caller = ScriptedCaller([WaitForAgent(silence_ms=200, limit_s=3)])
    ticks_until_hang_up(caller, [True] * 1000)
    assert caller.gave_up


def test_waiting_for_speech_ends_while_the_agent_speaks() -> None:
    caller = ScriptedCaller([WaitForSpeech(for_ms=100)])
    assert ticks_until_hang_up(caller, [False] * 10 + [True] * 50) == 14


def test_waiting_for_the_end_outlasts_everything_but_its_limit() -> None:
    caller = ScriptedCaller([WaitForEnd(limit_s=2)])
    assert ticks_until_hang_up(caller, [True] * 10) == 100
    assert "did not end" in caller.gave_up


def test_what_is_said_comes_out_frame_by_frame() -> None:
    pcm = tone(130)
    caller = ScriptedCaller([Speak(pcm)])
    said = [caller.tick(False) for _ in range(7)]
    expected = mulaw.encode(pcm)
    assert b"".join(tick.frame for tick in said)[: len(expected)] == expected
    assert all(tick.speaking for tick in said)
    assert caller.tick(False).hung_up


def test_silence_at_the_end_of_a_recording_is_not_speaking() -> None:
    pcm = np.concatenate([tone(100), np.zeros(1600, dtype=np.int16)])
    caller = ScriptedCaller([Speak(pcm)])
    assert [caller.tick(False).speaking for _ in range(15)] == [True] * 5 + [False] * 10


def test_keys_are_pressed_one_after_the_other() -> None:
    caller = ScriptedCaller([Press("12")])
    keys = []
    while not (tick := caller.tick(False)).hung_up:
        keys.append(tick.digits)
    assert keys == ["1", *[""] * 9, "2", *[""] * 9]


def test_interjecting_interrupts_and_then_goes_on_with_the_script() -> None:
    caller = ScriptedCaller([Speak(tone(1000)), Pause(40)])
    caller.tick(False)
    caller.interject(Press("5"))
    assert caller.tick(False).digits == "5"
    assert ticks_until_hang_up(caller, []) == 9 + 2


def test_going_silent_forgets_the_script() -> None:
    caller = ScriptedCaller([Speak(tone(1000)), HangUp()])
    caller.go_silent()
    assert all(caller.tick(False).frame == SILENT_FRAME for _ in range(5000))


@pytest.mark.parametrize(("then", "last"), [("hang_up", HangUp()), ("wait", WaitForEnd(9.0))])
def test_questions_follow_the_greeting_and_each_answer(
    tmp_path: Path, then: str, last: Step
) -> None:
    paths = [tmp_path / "a.wav", tmp_path / "b.flac"]
    for path in paths:
        soundfile.write(path, np.zeros(1600), 16000)
    script = questions(paths, then=then, limit_s=9.0)  # type: ignore[arg-type]
    kinds = [type(step) for step in script[:-1]]
    assert kinds == [WaitForAgent, Speak, WaitForAgent, Speak, WaitForAgent]
    assert script[-1] == last


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_file_becomes_8_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    time = np.arange(rate) / rate
    wave = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "tone.wav", np.stack([wave] * channels, axis=1), rate)
    pcm = load_audio(tmp_path / "tone.wav")
    assert abs(len(pcm) - 8000) <= 1
    spectrum = np.abs(np.fft.rfft(pcm[:8000].astype(float)))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert 0.45 * 32767 < np.abs(pcm.astype(int)).max() < 0.55 * 32767


def test_a_file_that_cannot_be_read_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("this is no audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    for name, words in [
        ("missing.wav", "cannot read"),
        ("text.wav", "cannot read"),
        ("empty.wav", "holds no sound"),
    ]:
        with pytest.raises(BadAudioError, match=words) as refused:
            load_audio(tmp_path / name)
        assert name in str(refused.value)


def test_frames_are_20_ms_and_the_last_is_filled_with_silence() -> None:
    cut = frames(tone(50))
    assert [len(frame) for frame in cut] == [160, 160, 160]
    assert cut[-1].endswith(b"\xff" * 80)
