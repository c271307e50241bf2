"""What clients rarely ask for, and what they must not be able to break."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest

from tests.serving.scripted_model import DONE, QUERY, spoken
from tests.serving.talk import Talk
from vita_model.engine.voice import AssistantText
from vita_model.serving.conversation import MAX_ITEM_CHARACTERS, MAX_ITEMS
from vita_model.serving.effects import CancelHearing, CancelReply, HearPartly, StartReply
from vita_model.serving.events import ProtocolError, parse_client_event
from vita_model.serving.hearing import OVER_THE_NEW
from vita_model.serving.session import MAX_SETTINGS_CHARACTERS

pytestmark = pytest.mark.unit

WORDS = "conversation.item.input_audio_transcription"
TRANSCRIBE = {"input": {"transcription": {"model": "any"}}}


def _message(text: str, **fields: object) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


def _answer(talk: Talk, text: str = "we open at nine") -> str:
    """An answer of half a second a word; gives the id of its item."""
    talk.send("response.create")
    talk.reply([QUERY, *spoken(text, 0.5), DONE])
    return str(talk.last("response.output_item.done")["item"]["id"])


def _audio(talk: Talk, item_id: str) -> bytes | None:
    talk.send("conversation.item.retrieve", item_id=item_id)
    (part,) = talk.last("conversation.item.retrieved")["item"]["content"]
    return None if part["audio"] is None else base64.b64decode(part["audio"])


def _pass_over(talk: Talk, words: str) -> HearPartly:
    """The model has listened to the turn going on."""
    effect = talk.all(HearPartly)[-1]
    talk._take(talk.dialogue.heard_partly(effect.pass_id, words))
    return effect


def _told(talk: Talk) -> list[str]:
    return [event["delta"] for event in talk.events if event["type"] == f"{WORDS}.delta"]


def test_words_are_told_while_the_caller_speaks() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.speech(1_300)
    first = _pass_over(talk, "when do you")
    assert len(first.samples) >= 16_000
    talk.speech(1_000)
    _pass_over(talk, "when did you")
    talk.speech(1_500)
    last = _pass_over(talk, "when do you open")
    assert len(talk.all(HearPartly)) == 3
    talk.silence(800)
    talk.hear("when do you open on Sunday")
    assert _told(talk) == ["when do you", " open", " on Sunday"]
    item_id = talk.last("input_audio_buffer.committed")["item_id"]
    assert {e["item_id"] for e in talk.events if e["type"].startswith(WORDS)} == {item_id}
    assert talk.dialogue.heard_partly(last.pass_id, "too late") == []


def test_the_model_listens_with_one_pass_at_a_time_and_not_in_a_pause() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.speech(1_300)
    talk.speech(300)
    (going_on,) = talk.all(HearPartly)
    talk.silence(300)
    assert CancelHearing(going_on.pass_id) in talk.effects
    assert talk.dialogue.heard_partly(going_on.pass_id, "when") == []
    talk.speech(1_000)
    assert len(talk.all(HearPartly)) == 2


def test_long_speech_is_listened_to_less_and_less_often() -> None:
    talk = Talk()
    for _ in range(60):
        talk.speech(300)
        if talk.all(HearPartly):
            _pass_over(talk, "")
    passes = [len(effect.samples) / 16_000 for effect in talk.all(HearPartly)]
    assert 5 <= len(passes) <= 9
    assert sum(passes) < 4 * passes[-1]
    assert passes[-1] < 16


def test_where_only_the_new_is_heard_passes_go_on_at_one_pace() -> None:
    talk = Talk(passes=OVER_THE_NEW)
    for _ in range(60):
        talk.speech(300)
        if talk.all(HearPartly):
            _pass_over(talk, "")
    passes = [len(effect.samples) / 16_000 for effect in talk.all(HearPartly)]
    assert passes[0] < 1
    assert passes[-1] > 17
    assert max(b - a for a, b in itertools.pairwise(passes)) < 0.7


def test_the_model_listens_only_at_the_end_where_that_is_wanted() -> None:
    talk = Talk(passes=None)
    talk.speech(3_000)
    assert not talk.all(HearPartly)


def test_words_that_were_a_wrong_guess_are_corrected_at_the_end() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.speech(1_300)
    _pass_over(talk, "wen")
    talk.silence(700)
    talk.hear("when")
    assert [e["type"] for e in talk.events if e["type"].startswith(WORDS)] == [
        f"{WORDS}.delta",
        f"{WORDS}.completed",
    ]
    assert talk.last(f"{WORDS}.completed")["transcript"] == "when"


def test_nobody_is_told_words_who_did_not_ask_for_them() -> None:
    talk = Talk()
    talk.speech(1_300)
    _pass_over(talk, "when")
    assert _told(talk) == []


def test_truncating_cuts_the_audio_too() -> None:
    talk = Talk()
    item_id = _answer(talk)
    assert len(_audio(talk, item_id) or b"") == 2 * 48_000
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=600)
    assert len(_audio(talk, item_id) or b"") == 600 * 48


@pytest.mark.parametrize(("wire", "bytes_per_ms"), [("audio/pcm", 48), ("audio/pcmu", 8)])
def test_what_the_caller_said_can_be_heard_again(wire: str, bytes_per_ms: int) -> None:
    talk = Talk(audio={"input": {"turn_detection": None}})
    talk.speech(1_000)
    talk.send("input_audio_buffer.commit")
    talk.send("session.update", session={"audio": {"input": {"format": {"type": wire}}}})
    audio = _audio(talk, talk.last("input_audio_buffer.committed")["item_id"])
    assert len(audio or b"") == pytest.approx(1_000 * bytes_per_ms, abs=20 * bytes_per_ms)


def test_a_long_recording_is_not_sent_and_old_ones_are_forgotten() -> None:
    talk = Talk()
    first = _answer(talk, "one")
    long = _answer(talk, "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    assert _audio(talk, long) is None
    assert _audio(talk, first) is not None
    for _ in range(7):
        _answer(talk, "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    assert _audio(talk, first) is None


def test_deleting_what_is_being_said_ends_it() -> None:
    talk = Talk()
    talk.send("response.create")
    reply_id = talk.all(StartReply)[0].reply_id
    for event in [QUERY, *spoken("we open")]:
        talk.give(reply_id, event)
    item_id = talk.last("response.output_item.added")["item"]["id"]
    talk.send("conversation.item.delete", item_id=item_id)
    assert talk.all(CancelReply) == [CancelReply(reply_id)]
    assert talk.kinds[-2:] == ["response.done", "conversation.item.deleted"]
    assert talk.give(reply_id, DONE) == []
    talk.send("response.create")
    entries = talk.all(StartReply)[-1].request.entries
    assert not any(isinstance(entry, AssistantText) for entry in entries)


def test_what_is_not_done_is_shown_as_off() -> None:
    asked = {
        "audio": {
            "input": {"noise_reduction": {"type": "near_field"}, "transcription": {"model": "w"}},
            "output": {"speed": 1.5},
        },
        "tracing": "auto",
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
        "include": ["item.input_audio_transcription.logprobs"],
        "reasoning": {"effort": "low"},
    }
    talk = Talk()
    talk.send("session.update", session=asked)
    shown = talk.last("session.updated")["session"]
    assert shown["audio"]["input"]["noise_reduction"] is None
    assert shown["audio"]["input"]["transcription"]["model"] == "w"
    assert shown["audio"]["output"]["speed"] == 1.0
    assert [shown[name] for name in ("tracing", "truncation", "include", "reasoning")] == [
        None,
        "auto",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("session.update", {"session": {"prompt": {"id": "p"}}}, "unsupported_parameter"),
        (
            "session.update",
            {"session": {"instructions": "x" * MAX_SETTINGS_CHARACTERS}},
            "invalid_value",
        ),
        (
            "response.create",
            {"response": {"metadata": {"a": "x" * MAX_SETTINGS_CHARACTERS}}},
            "invalid_value",
        ),
        (
            "conversation.item.create",
            {"item": _message("x" * (MAX_ITEM_CHARACTERS + 1))},
            "invalid_value",
        ),
        ("conversation.item.create", {"item": _message("hi", id="x" * 300)}, "invalid_value"),
    ],
)
def test_what_is_too_large_is_refused(kind: str, fields: dict[str, Any], code: str) -> None:
    talk = Talk()
    talk.send(kind, **fields)
    assert talk.kinds == ["error"]
    assert talk.last("error")["error"]["code"] == code
    assert len(json.dumps(talk.events)) < 1_000


def test_a_conversation_has_an_end() -> None:
    talk = Talk()
    for number in range(MAX_ITEMS + 1):
        talk.send("conversation.item.create", item=_message("hi", id=f"i{number}"))
    assert talk.last("error")["error"]["code"] == "rate_limit_exceeded"
    talk.send("conversation.item.delete", item_id="i0")
    talk.send("conversation.item.create", item=_message("hi"))
    assert talk.kinds[-1] == "conversation.item.done"


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": NaN}',
        '{"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": 1e999}',
        '{"type": "session.update", "session": {"tools": [{"parameters": {"a": 1e999}}]}}',
        '{"type": "session.update", "session": {"audio": {"output": {"speed": NaN}}}}',
        '{"type": "conversation.item.delete", "item_id": "' + "x" * 300 + '"}',
    ],
)
def test_what_could_not_be_sent_back_is_not_read(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_client_event(text)
    assert len(str(caught.value)) < 200


def test_a_huge_number_is_clamped() -> None:
    talk = Talk()
    item_id = _answer(talk)
    for item in (item_id, "unknown"):
        talk.send("conversation.item.truncate", item_id=item, audio_end_ms=1e300)
    assert talk.last("conversation.item.truncated")["audio_end_ms"] == 3_600_000
