from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from agent.api import DigitPressed, MarkPlayed, MediaFrame
from connectors.twilio.media_stream import (
    MAX_BAD_FRAMES,
    BadFrame,
    Gap,
    MediaDialogue,
    StreamGarbageError,
    StreamStarted,
    StreamStopped,
    clear_message,
    mark_message,
    media_messages,
)

pytestmark = pytest.mark.unit

CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


def start(**changes: Any) -> str:
    body = {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t"},
    }
    message = {"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": body | changes}
    return json.dumps(message)


def media(timestamp: int, audio: bytes = b"\x10" * 160, **changes: Any) -> str:
    body = {
        "track": "inbound",
        "chunk": "1",
        "timestamp": str(timestamp),
        "payload": base64.b64encode(audio).decode(),
    }
    message = {"event": "media", "sequenceNumber": "2", "streamSid": "MZ1", "media": body | changes}
    return json.dumps(message)


def message(event: str, body: dict[str, Any], sid: str = "MZ1") -> str:
    return json.dumps({"event": event, "sequenceNumber": "3", "streamSid": sid, event: body})


def started() -> MediaDialogue:
    dialogue = MediaDialogue()
    assert dialogue.receive(CONNECTED) == []
    assert dialogue.receive(start()) == [StreamStarted("MZ1", "CA1", "AC1", {"token": "t"})]
    return dialogue


def test_a_whole_stream_in_order() -> None:
    dialogue = started()
    assert dialogue.receive(media(0)) == [MediaFrame(b"\x10" * 160, 0)]
    assert dialogue.receive(media(20)) == [MediaFrame(b"\x10" * 160, 20)]
    assert dialogue.receive(message("mark", {"name": "m"})) == [MarkPlayed("m")]
    digit = {"track": "inbound_track", "digit": "#"}
    assert dialogue.receive(message("dtmf", digit)) == [DigitPressed("#")]
    stop = message("stop", {"accountSid": "AC1", "callSid": "CA1"})
    assert dialogue.receive(stop) == [StreamStopped()]


def test_a_stream_that_starts_late_has_no_gap_before_it() -> None:
    assert started().receive(media(400)) == [MediaFrame(b"\x10" * 160, 400)]


def test_lost_audio_is_replaced_by_silence_of_its_length() -> None:
    dialogue = started()
    dialogue.receive(media(0))
    gap, *frames = dialogue.receive(media(80))
    assert gap == Gap(60)
    silent = [MediaFrame(b"\xff" * 160, at) for at in (20, 40, 60)]
    assert frames == [*silent, MediaFrame(b"\x10" * 160, 80)]
    assert dialogue.receive(media(100)) == [MediaFrame(b"\x10" * 160, 100)]


def test_a_long_loss_is_not_filled_beyond_five_seconds() -> None:
    dialogue = started()
    dialogue.receive(media(0))
    gap, *frames = dialogue.receive(media(30_000))
    assert gap == Gap(29_980)
    assert sum(len(frame.payload) for frame in frames if isinstance(frame, MediaFrame)) == 40_160


def test_our_own_voice_is_not_taken_for_the_callers() -> None:
    assert started().receive(media(0, track="outbound")) == []


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[" * 60_000,
        b"\x00\x01",
        "{}",
        "[]",
        '{"event": "weather", "streamSid": "MZ1"}',
        "x" * 70_000,
        media(0, audio=b""),
        media(0, audio=b"\x00" * 8001),
        media(0, payload="%%%"),
        json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": 5}}),
        media(-20),
        media(10**30),
        message("mark", {"name": "m"}, sid="MZ2"),
        message("mark", {}),
        message("dtmf", {"digit": "99"}),
        CONNECTED,
        start(),
    ],
)
def test_one_bad_frame_is_reported_and_skipped(bad: str | bytes) -> None:
    dialogue = started()
    (event,) = dialogue.receive(bad)
    assert isinstance(event, BadFrame)
    assert len(event.reason) < 80, "the reason quotes nothing of the frame"
    assert dialogue.receive(media(0)) == [MediaFrame(b"\x10" * 160, 0)]


def test_time_that_goes_back_or_leaps_is_skipped() -> None:
    dialogue = started()
    dialogue.receive(media(1000))
    assert isinstance(dialogue.receive(media(500))[0], BadFrame)
    assert isinstance(dialogue.receive(media(900_000))[0], BadFrame)
    assert dialogue.receive(media(1020)) == [MediaFrame(b"\x10" * 160, 1020)]


def test_a_stream_of_garbage_is_given_up() -> None:
    dialogue = started()
    for _ in range(MAX_BAD_FRAMES):
        dialogue.receive("garbage")
    with pytest.raises(StreamGarbageError):
        dialogue.receive("garbage")


def test_a_second_of_good_frames_makes_up_for_bad_ones() -> None:
    dialogue = started()
    for round_ in range(3):
        for _ in range(MAX_BAD_FRAMES):
            dialogue.receive("garbage")
        for number in range(50):
            dialogue.receive(media((round_ * 50 + number) * 20))


@pytest.mark.parametrize(
    "first",
    [
        "garbage",
        start(),
        media(0),
        message("mark", {"name": "m"}),
        message("stop", {}),
    ],
)
def test_nothing_comes_before_connected_and_start(first: str) -> None:
    with pytest.raises(StreamGarbageError):
        MediaDialogue().receive(first)


@pytest.mark.parametrize(
    "changes",
    [
        {"streamSid": "MZ2"},
        {"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1}},
        {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}},
        {"customParameters": "token"},
        {"callSid": "C" * 65},
    ],
)
def test_a_stream_we_cannot_serve_is_refused(changes: dict[str, Any]) -> None:
    dialogue = MediaDialogue()
    dialogue.receive(CONNECTED)
    with pytest.raises(StreamGarbageError):
        dialogue.receive(start(**changes))


def test_nothing_comes_after_stop() -> None:
    dialogue = started()
    dialogue.receive(message("stop", {}))
    assert isinstance(dialogue.receive(media(0))[0], BadFrame)


def test_long_audio_is_cut_into_messages_of_a_second() -> None:
    payload = bytes(range(250)) * 80
    sent = [json.loads(text) for text in media_messages("MZ1", payload)]
    assert [len(base64.b64decode(m["media"]["payload"])) for m in sent] == [8000, 8000, 4000]
    assert b"".join(base64.b64decode(m["media"]["payload"]) for m in sent) == payload
    assert {(m["event"], m["streamSid"]) for m in sent} == {("media", "MZ1")}
    assert media_messages("MZ1", b"") == []


def test_marks_and_clear_as_twilio_wants_them() -> None:
    assert json.loads(mark_message("MZ1", "m")) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": "m"},
    }
    assert json.loads(clear_message("MZ1")) == {"event": "clear", "streamSid": "MZ1"}
