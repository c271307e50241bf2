"""A session's events in every situation a call can get into, without sockets or a model."""

from __future__ import annotations

import base64
import json

import pytest

from tests.serving.scripted_model import DONE, NOISE, QUERY, spoken, tone
from tests.serving.talk import Talk
from vita_model.engine.voice import (
    AssistantText,
    Audio,
    Call,
    Done,
    Heard,
    Seen,
    Text,
    ToolCall,
    ToolOutput,
    UserImage,
    UserSpeech,
    UserText,
)
from vita_model.serving.effects import (
    CancelHearing,
    CancelReply,
    Hear,
    LookAhead,
    Prepare,
    See,
    StartReply,
    StartSaying,
)
from vita_model.serving.events import ProtocolError
from vita_model.serving.pictures import MOST_WAITING

pytestmark = pytest.mark.unit

TOOL = {"type": "function", "name": "lookup_order", "description": "d", "parameters": {}}
TRANSCRIBE = {"input": {"transcription": {"model": "any"}}}
SEMANTIC = {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}
MANUAL = {"input": {"turn_detection": None}}

CALLER_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
SPOKEN_REPLY = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
SPOKEN_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def _user_text(talk: Talk, text: str = "hi", **fields: object) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content, **fields}
    talk.send("conversation.item.create", item=item)


def _speaking(talk: Talk, text: str = "one two three four five six seven eight") -> str:
    """An answer that is half given; gives its id."""
    _user_text(talk)
    talk.send("response.create")
    reply_id = talk.all(StartReply)[-1].reply_id
    for event in [QUERY, *spoken(text)[:5]]:
        talk.give(reply_id, event)
    return reply_id


def test_a_spoken_turn_has_the_documented_order() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.turn(transcript="when do you open")
    talk.reply()
    words = "conversation.item.input_audio_transcription"
    transcribed = [f"{words}.delta", f"{words}.completed"]
    assert talk.outline == [
        *CALLER_TURN,
        "response.created",
        *transcribed,
        *SPOKEN_REPLY[1:],
        "...",
        *SPOKEN_END,
    ]
    user_item = talk.last("input_audio_buffer.committed")["item_id"]
    assert talk.events[0]["item_id"] == user_item
    assert talk.last(transcribed[1])["transcript"] == "when do you open"
    done = talk.last("response.done")["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "It is nine."}]
    assert done["usage"]["total_tokens"] == 52
    assert done["usage"]["input_token_details"]["cached_tokens"] == 8


def test_what_was_heard_during_the_silence_is_told_before_the_answer_begins() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.speech(1_000)
    talk.silence(300)
    hear = talk.all(Hear)
    assert len(hear) == 1
    assert [type(effect) for effect in talk.hear("early")] == [StartReply]
    talk.silence(400)
    assert talk.kinds[-2:] == [
        "conversation.item.input_audio_transcription.completed",
        "response.created",
    ]
    assert talk.all(Hear) == hear
    (entry,) = talk.all(StartReply)[0].request.entries
    assert entry == UserSpeech(Heard("early", None, 1.0))


def test_an_early_hearing_is_dropped_when_the_caller_goes_on() -> None:
    talk = Talk()
    talk.speech(500)
    talk.silence(300)
    first = talk.all(Hear)[0]
    talk.speech(500)
    assert talk.all(CancelHearing) == [CancelHearing(first.hearing_id)]
    talk.dialogue.heard(first.hearing_id, Heard("half", None, 0.5))
    talk.silence(640)
    talk.hear("all of it")
    (entry,) = talk.all(StartReply)[0].request.entries
    assert isinstance(entry, UserSpeech)
    assert entry.heard.transcript == "all of it"
    assert len(talk.all(Hear)[1].samples) > len(first.samples)


def test_the_utterance_keeps_its_lead_in_and_loses_its_trailing_silence() -> None:
    talk = Talk()
    talk.silence(2_000)
    talk.speech(1_000)
    talk.silence(700)
    seconds = len(talk.all(Hear)[0].samples) / 16_000
    assert 1.4 <= seconds <= 1.6
    started = talk.events[0]["audio_start_ms"]
    assert 1_650 <= started <= 1_750


def test_a_tool_call_comes_whole_and_its_output_may_come_before_the_end() -> None:
    talk = Talk(tools=[TOOL])
    talk.turn()
    reply_id = talk.all(StartReply)[-1].reply_id
    talk.clear()
    talk.give(reply_id, QUERY)
    talk.give(reply_id, Call("lookup_order", '{"order_id": "48213"}'))
    done = talk.last("response.function_call_arguments.done")
    call_id = done["call_id"]
    assert len(call_id) <= 32
    output = {"type": "function_call_output", "call_id": call_id, "output": '{"ok": true}'}
    talk.send("conversation.item.create", item=output)
    talk.send("response.create", response={"metadata": {"client_event_id": "c1"}})
    assert talk.kinds[:6] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    assert not talk.all(StartReply)
    talk.give(reply_id, DONE)
    assert talk.kinds[-2:] == ["response.done", "response.created"]
    assert talk.last("response.created")["response"]["metadata"] == {"client_event_id": "c1"}
    (first,) = talk.last("response.done")["response"]["output"]
    assert first["name"] == "lookup_order"
    entries = talk.all(StartReply)[0].request.entries
    assert entries[1:] == [
        ToolCall(call_id, "lookup_order", '{"order_id": "48213"}'),
        ToolOutput(call_id, '{"ok": true}'),
    ]


def test_text_before_a_call_stays_its_own_item() -> None:
    talk = Talk(tools=[TOOL])
    talk.turn()
    talk.reply([QUERY, *spoken("One moment."), Call("lookup_order", "{}"), DONE])
    message, call = talk.last("response.done")["response"]["output"]
    assert (message["type"], call["type"]) == ("message", "function_call")
    indices = [e["output_index"] for e in talk.events if e["type"] == "response.output_item.done"]
    assert indices == [1, 0]


def test_speech_over_an_answer_ends_it_at_once_with_server_vad() -> None:
    talk = Talk()
    reply_id = _speaking(talk)
    talk.clear()
    talk.speech(100)
    assert talk.kinds == ["input_audio_buffer.speech_started", *SPOKEN_END]
    assert talk.all(CancelReply) == [CancelReply(reply_id)]
    response = talk.last("response.done")["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["total_tokens"] == 0
    assert talk.give(reply_id, Audio(tone(1), 40)) == []
    assert talk.give(reply_id, DONE) == []


def test_a_short_word_is_answered_once_the_agent_was_stopped() -> None:
    talk = Talk(audio=SEMANTIC)
    _speaking(talk)
    talk.speech(200)
    item = talk.last("response.output_item.added")["item"]["id"]
    talk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=300)
    assert talk.last("response.done")["response"]["status_details"]["reason"] == "turn_detected"
    talk.silence(700)
    talk.hear("stop")
    assert len(talk.all(StartReply)) == 2


def test_a_short_word_after_the_agent_was_heard_out_is_answered() -> None:
    talk = Talk(audio=SEMANTIC)
    talk.turn()
    talk.reply()
    talk.now += 10
    talk.speech(200)
    talk.silence(700)
    talk.hear("yes")
    assert len(talk.all(StartReply)) == 2


def test_an_answer_still_playing_counts_as_speaking() -> None:
    talk = Talk(audio=SEMANTIC)
    talk.turn()
    talk.reply([QUERY, *spoken("a long answer it is", 1.0), DONE])
    talk.now += 1
    talk.speech(200)
    talk.silence(700)
    talk.hear("mm-hm")
    assert len(talk.all(StartReply)) == 1


def test_without_interruptions_the_next_answer_waits_for_the_first() -> None:
    talk = Talk(audio={"input": {"turn_detection": {"interrupt_response": False}}})
    _speaking(talk)
    talk.turn()
    assert talk.all(CancelReply) == []
    assert len(talk.all(StartReply)) == 1
    talk.reply([DONE])
    assert len(talk.all(StartReply)) == 2


def test_a_waiting_answer_waits_until_the_caller_has_finished() -> None:
    talk = Talk()
    _speaking(talk)
    talk.send("response.create", response={"metadata": {"n": "2"}})
    talk.speech(500)
    assert talk.last("response.done")["response"]["status"] == "cancelled"
    assert len(talk.all(StartReply)) == 1
    talk.silence(700)
    talk.hear()
    assert len(talk.all(StartReply)) == 2
    assert talk.last("response.created")["response"]["metadata"] == {"n": "2"}


def test_an_answer_asked_for_while_the_caller_speaks_waits_but_a_given_text_does_not() -> None:
    talk = Talk()
    talk.speech(500)
    talk.clear()
    talk.send("response.create")
    assert talk.effects == []
    talk.silence(700)
    talk.hear()
    assert len(talk.all(StartReply)) == 1
    disclosure = Talk()
    disclosure.speech(500)
    say = {"metadata": {"vita_say": "This call is recorded."}}
    disclosure.send("response.create", response=say)
    assert [e.text for e in disclosure.all(StartSaying)] == ["This call is recorded."]


def test_a_given_text_is_spoken_and_remembered() -> None:
    talk = Talk()
    say = {"metadata": {"vita_say": "Good morning."}, "instructions": "Say exactly: Good morning."}
    talk.send("response.create", response=say)
    talk.reply([*spoken("Good morning."), DONE])
    assert talk.last("response.done")["response"]["metadata"]["vita_say"] == "Good morning."
    assert talk.outline == [*SPOKEN_REPLY, "...", *SPOKEN_END]
    talk.turn()
    assert talk.all(StartReply)[-1].request.entries[0] == AssistantText("Good morning.")


def test_noise_is_not_answered_and_not_told_to_the_model_again() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.turn(transcript="tv in the background")
    item_id = talk.last("input_audio_buffer.committed")["item_id"]
    talk.reply([NOISE, DONE])
    assert talk.kinds[-4:] == [
        "response.created",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.done",
    ]
    response = talk.last("response.done")["response"]
    assert (response["status"], response["output"]) == ("completed", [])
    assert response["metadata"]["vita_state"] == "noise"
    talk.send("conversation.item.retrieve", item_id=item_id)
    assert talk.last("conversation.item.retrieved")["item"]["id"] == item_id
    talk.turn(transcript="when do you open")
    entries = talk.all(StartReply)[-1].request.entries
    assert [e.heard.transcript for e in entries if isinstance(e, UserSpeech)] == [
        "when do you open"
    ]


def test_state_probabilities_and_timings_are_told_as_strings() -> None:
    talk = Talk()
    talk.send("response.create", response={"metadata": {"mine": "1"}})
    talk.now += 0.25
    talk.reply()
    metadata = talk.last("response.done")["response"]["metadata"]
    assert metadata == {
        "mine": "1",
        "vita_state": "query",
        "vita_p_query": "0.9000",
        "vita_p_typed": "0.0600",
        "vita_p_noise": "0.0400",
        "vita_first_audio_ms": "250",
        "vita_prefill_s": "0.01",
    }
    assert talk.last("response.created")["response"]["metadata"] == {"mine": "1"}


def test_words_are_told_in_step_with_the_speech() -> None:
    talk = Talk()
    talk.send("response.create")
    text = "one two three four five six seven eight nine ten"
    talk.reply([QUERY, Text(text), Audio(tone(2.0), len(text)), DONE])
    told = played = 0.0
    for event in talk.events:
        if event["type"] == "response.output_audio_transcript.delta":
            told += len(event["delta"])
        if event["type"] == "response.output_audio.delta":
            piece = len(base64.b64decode(event["delta"])) / 48
            assert 40 <= piece <= 200
            played += piece
            assert abs(told / len(text) - played / 2_000) <= 0.15
    assert (told, played) == (len(text), 2_000)


def test_tiny_pieces_of_speech_are_put_together() -> None:
    talk = Talk()
    talk.send("response.create")
    pieces = [Audio(tone(0.01), min(n, 4)) for n in range(1, 14)]
    talk.reply([QUERY, Text("hmm."), *pieces, DONE])
    sizes = [
        len(base64.b64decode(e["delta"])) / 48
        for e in talk.events
        if e["type"] == "response.output_audio.delta"
    ]
    assert sizes == [40, 40, 40, 10]


@pytest.mark.parametrize("wire", ["audio/pcmu", "audio/pcma"])
def test_telephone_formats_in_and_out(wire: str) -> None:
    talk = Talk(audio={"input": {"format": {"type": wire}}, "output": {"format": {"type": wire}}})
    talk.send("response.create")
    talk.reply([QUERY, Text("Hello there."), Audio(tone(1.0), 12), DONE])
    data = [base64.b64decode(e["delta"]) for e in talk.events if "audio.delta" in e["type"]]
    assert len(b"".join(data)) in range(8_000, 8_040)
    assert max(len(piece) for piece in data) <= 1_600
    created = talk.last("response.created")["response"]
    assert created["audio"]["output"]["format"] == {"type": wire}
    talk.dialogue.append(bytes(8_000))
    assert talk.dialogue.bytes_per_second == 8_000


def test_text_answers() -> None:
    talk = Talk(output_modalities=["text"])
    _user_text(talk)
    talk.clear()
    talk.send("response.create")
    assert talk.all(StartReply)[0].request.speak is False
    talk.reply([QUERY, Text("Nine "), Text("o'clock."), DONE])
    assert talk.outline == [*SPOKEN_REPLY, "...", "response.output_text.done", *SPOKEN_END[2:]]
    content = talk.last("response.done")["response"]["output"][0]["content"]
    assert content == [{"type": "output_text", "text": "Nine o'clock."}]


def test_truncation_cuts_the_words_the_caller_did_not_hear() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.reply([QUERY, *spoken("we open at nine in the morning", 0.5), DONE])
    item_id = talk.last("response.output_item.done")["item"]["id"]
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1_700)
    assert talk.last("conversation.item.truncated")["audio_end_ms"] == 1_700
    talk.turn()
    assert talk.all(StartReply)[-1].request.entries[0] == AssistantText("we open at")


@pytest.mark.parametrize(("asked", "told", "words"), [(99_999, 1_500, "a b c"), (0, 0, None)])
def test_truncation_is_clamped(asked: int, told: int, words: str | None) -> None:
    talk = Talk()
    talk.send("response.create")
    talk.reply([QUERY, *spoken("a b c", 0.5), DONE])
    item_id = talk.last("response.output_item.done")["item"]["id"]
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=asked)
    assert talk.last("conversation.item.truncated")["audio_end_ms"] == told
    talk.turn()
    entries = talk.all(StartReply)[-1].request.entries
    assert [e.text for e in entries if isinstance(e, AssistantText)] == ([words] if words else [])


def test_truncating_an_unknown_item_is_no_error() -> None:
    talk = Talk()
    talk.send("conversation.item.truncate", item_id="gone", content_index=0, audio_end_ms=-5)
    assert talk.kinds == ["conversation.item.truncated"]


def test_the_client_cancels() -> None:
    talk = Talk()
    reply_id = _speaking(talk)
    talk.send("response.create", response={"metadata": {"n": "2"}})
    talk.clear()
    talk.send("response.cancel")
    assert talk.all(CancelReply) == [CancelReply(reply_id)]
    assert talk.kinds == [*SPOKEN_END, "response.created", "response.done"]
    reasons = [
        e["response"]["status_details"]["reason"]
        for e in talk.events
        if e["type"] == "response.done"
    ]
    assert reasons == ["client_cancelled", "client_cancelled"]
    talk.send("response.cancel")
    assert talk.last("error")["error"]["code"] == "response_cancel_not_active"
    assert talk.last("error")["error"]["event_id"] == "client_1"


def test_one_answer_may_wait_but_not_two() -> None:
    talk = Talk()
    _speaking(talk)
    talk.send("response.create")
    talk.send("response.create")
    assert talk.last("error")["error"]["code"] == "conversation_already_has_active_response"


def test_turns_by_hand() -> None:
    talk = Talk(audio={"input": {**MANUAL["input"], **TRANSCRIBE["input"]}})
    talk.speech(500)
    talk.silence(1_000)
    assert talk.effects == []
    talk.send("input_audio_buffer.commit")
    assert talk.kinds == CALLER_TURN[2:]
    talk.send("response.create")
    assert not talk.all(StartReply)
    talk.hear("by hand")
    assert len(talk.all(StartReply)) == 1
    assert len(talk.all(Hear)[0].samples) == pytest.approx(24_000, abs=100)


def test_too_little_audio_is_not_committed() -> None:
    talk = Talk(audio=MANUAL)
    talk.speech(90)
    talk.send("input_audio_buffer.commit")
    assert talk.last("error")["error"]["code"] == "input_audio_buffer_commit_empty"
    talk.speech(500)
    talk.send("input_audio_buffer.clear")
    assert talk.last("input_audio_buffer.cleared")
    talk.send("input_audio_buffer.commit")
    assert talk.kinds[-1] == "error"


def test_an_utterance_that_cannot_be_heard_fails_its_answer_only() -> None:
    talk = Talk(audio=TRANSCRIBE)
    talk.speech(500)
    talk.silence(700)
    hearing_id = talk.all(Hear)[0].hearing_id
    talk.clear()
    talk._take(talk.dialogue.hearing_failed(hearing_id, "no ears"))
    assert talk.kinds == [
        "conversation.item.input_audio_transcription.failed",
        "response.done",
    ]
    assert talk.last("response.done")["response"]["status"] == "failed"
    talk.turn(transcript="again")
    assert len(talk.all(StartReply)) == 1


def test_a_failed_answer_is_told_and_the_session_goes_on() -> None:
    talk = Talk()
    reply_id = _speaking(talk)
    talk._take(talk.dialogue.reply_failed(reply_id, "The model could not answer."))
    response = talk.last("response.done")["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["message"] == "The model could not answer."
    talk.turn()
    assert len(talk.all(StartReply)) == 2


def test_an_answer_cut_by_its_length_is_incomplete() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.reply([QUERY, *spoken("and so on"), Done("length", 1, 0, 400)])
    response = talk.last("response.done")["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"]["reason"] == "max_output_tokens"


def test_endless_speech_is_cut() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.reply([QUERY, Text("la"), *[Audio(tone(10.0), 2)] * 7])
    assert len(talk.all(CancelReply)) == 1
    assert talk.last("response.done")["response"]["status"] == "incomplete"


def test_items_keep_their_ids_and_places() -> None:
    talk = Talk()
    _user_text(talk, "second", id="b" * 32)
    content = [{"type": "input_text", "text": "Be kind."}]
    system = {"id": "sys", "type": "message", "role": "system", "content": content}
    talk.send("conversation.item.create", item=system, previous_item_id="root")
    answer = [{"type": "input_text", "text": "Hello."}]
    item = {"id": "mid", "type": "message", "role": "assistant", "content": answer}
    talk.send("conversation.item.create", item=item, previous_item_id="sys")
    assert talk.last("conversation.item.added")["previous_item_id"] == "sys"
    talk.send("response.create")
    texts = [entry.text for entry in talk.all(StartReply)[0].request.entries]
    assert texts == ["Be kind.", "Hello.", "second"]
    talk.send("conversation.item.delete", item_id="sys")
    talk.send("conversation.item.delete", item_id="sys")
    assert talk.kinds[-1] == "conversation.item.deleted"


def test_pictures_reach_the_model_and_are_not_echoed() -> None:
    talk = Talk()
    picture = base64.b64encode(b"\xff\xd8 picture").decode()
    content = [
        {"type": "input_image", "image_url": f"data:image/jpeg;base64,{picture}"},
        {"type": "input_text", "text": "What is this?"},
    ]
    item = {"type": "message", "role": "user", "content": content}
    talk.send("conversation.item.create", item=item)
    assert picture not in json.dumps(talk.events)
    talk.send("response.create")
    assert not talk.all(StartReply)
    see = talk.all(See)[0]
    assert see.data == b"\xff\xd8 picture"
    seen = Seen(None, 4)
    talk.seen(see.seeing_id, seen)
    entries = talk.all(StartReply)[0].request.entries
    assert entries == [UserImage(seen), UserText("What is this?")]


def test_a_picture_that_cannot_be_seen_is_told_and_the_words_are_answered() -> None:
    talk = Talk()
    url = f"data:image/png;base64,{base64.b64encode(b'no picture').decode()}"
    content = [
        {"type": "input_text", "text": "When do you open?"},
        {"type": "input_image", "image_url": url},
    ]
    item = {"type": "message", "role": "user", "content": content}
    talk.send("conversation.item.create", item=item)
    talk.send("response.create")
    fault = ProtocolError("The picture cannot be read.", "invalid_value", "item.content.image_url")
    talk.seen(talk.all(See)[0].seeing_id, fault)
    error = talk.last("error")["error"]
    assert error["message"] == "The picture cannot be read."
    assert error["event_id"] == "client_1"
    assert talk.all(StartReply)[0].request.entries == [UserText("When do you open?")]


def test_pictures_that_come_faster_than_they_are_seen_are_refused() -> None:
    talk = Talk()
    url = f"data:image/png;base64,{base64.b64encode(b'still').decode()}"
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_image", "image_url": url}],
    }
    for _ in range(MOST_WAITING + 1):
        talk.send("conversation.item.create", item=item)
    assert talk.last("error")["error"]["code"] == "rate_limit_exceeded"
    assert len(talk.all(See)) == MOST_WAITING
    talk.seen(talk.all(See)[0].seeing_id, Seen(None, 4))
    talk.send("conversation.item.create", item=item)
    assert len(talk.all(See)) == MOST_WAITING + 1


def test_what_was_shown_with_noise_is_not_told_again() -> None:
    talk = Talk()
    url = f"data:image/png;base64,{base64.b64encode(b'still').decode()}"
    content = [{"type": "input_image", "image_url": url}]
    item = {"type": "message", "role": "user", "content": content}
    talk.send("conversation.item.create", item=item)
    talk.seen(talk.all(See)[0].seeing_id, Seen(None, 4))
    talk.turn()
    talk.reply([NOISE, DONE])
    talk.send("response.create")
    assert talk.all(StartReply)[-1].request.entries == []


def test_recorded_audio_can_be_an_item() -> None:
    talk = Talk()
    audio = base64.b64encode((tone(1.0) * 32_767).astype("<i2").tobytes()).decode()
    content = [{"type": "input_audio", "audio": audio}]
    item = {"id": "rec", "type": "message", "role": "user", "content": content}
    talk.send("conversation.item.create", item=item)
    assert audio not in json.dumps(talk.events)
    talk.send("response.create")
    assert not talk.all(StartReply)
    talk.hear("recorded")
    (entry,) = talk.all(StartReply)[0].request.entries
    assert isinstance(entry, UserSpeech)


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("conversation.item.retrieve", {"item_id": "x"}, "item_retrieve_invalid_item_id"),
        ("conversation.item.create", {"item": {"type": "nonsense"}}, "invalid_value"),
        ("conversation.item.create", {"item": {"type": "message"}}, "missing_required_parameter"),
        (
            "conversation.item.create",
            {"item": {"type": "function_call_output", "output": "x"}},
            "missing_required_parameter",
        ),
        (
            "conversation.item.create",
            {"item": {"type": "message", "role": "user"}, "previous_item_id": "x"},
            "item_create_invalid_previous_item_id",
        ),
        ("response.create", {"response": {"conversation": "none"}}, "unsupported_parameter"),
        ("response.create", {"response": {"input": []}}, "unsupported_parameter"),
        ("response.create", {"response": {"metadata": {"a": 1}}}, "invalid_value"),
        ("input_audio_buffer.append", {"audio": "!!"}, "invalid_value"),
    ],
)
def test_what_cannot_be_done_is_said(kind: str, fields: dict[str, object], code: str) -> None:
    talk = Talk()
    talk.send(kind, **fields)
    assert talk.kinds == ["error"]
    assert talk.last("error")["error"]["code"] == code
    assert talk.last("error")["error"]["type"] == "invalid_request_error"


def test_the_prompt_is_prepared_when_it_changes() -> None:
    talk = Talk()
    talk.send("session.update", session={"instructions": "Be brief.", "tools": [TOOL]})
    talk.send("session.update", session={"audio": {"output": {"speed": 1.0}}})
    (prepare,) = talk.all(Prepare)
    assert prepare.instructions == "Be brief."
    assert [tool.name for tool in prepare.tools] == ["lookup_order"]


def test_after_an_answer_the_next_prompt_is_computed_ahead() -> None:
    talk = Talk(instructions="Be brief.")
    _user_text(talk)
    talk.send("response.create", response={"instructions": "Sing."})
    assert talk.all(LookAhead) == []
    talk.reply()
    (ahead,) = talk.all(LookAhead)
    assert ahead.request.entries == [UserText("hi"), AssistantText("It is nine.")]
    assert ahead.request.instructions == "Be brief."


def test_nothing_is_computed_ahead_while_the_next_answer_is_due() -> None:
    talk = Talk(tools=[TOOL])
    _user_text(talk)
    talk.send("response.create")
    talk.send("response.create")
    talk.reply()
    assert talk.all(LookAhead) == []
    talk.reply([QUERY, *spoken("One moment."), Call("lookup_order", "{}"), DONE])
    assert talk.all(LookAhead) == []
    call = talk.last("response.function_call_arguments.done")["call_id"]
    item = {"type": "function_call_output", "call_id": call, "output": "{}"}
    talk.send("conversation.item.create", item=item)
    assert talk.all(LookAhead) == []


def test_a_past_or_other_instructions_are_computed_ahead() -> None:
    talk = Talk()
    _user_text(talk)
    said = [{"type": "output_text", "text": "Hello."}]
    item = {"type": "message", "role": "assistant", "content": said}
    talk.send("conversation.item.create", item=item)
    talk.send("session.update", session={"instructions": "Be brief."})
    before, after = talk.all(LookAhead)
    assert (
        before.request.entries == after.request.entries == [UserText("hi"), AssistantText("Hello.")]
    )
    assert (before.request.instructions, after.request.instructions) == ("", "Be brief.")


@pytest.mark.parametrize(("heard_ms", "looks"), [(600, 1), (0, 0)])
def test_an_answer_that_was_cut_is_computed_ahead_as_far_as_it_was_heard(
    heard_ms: int, looks: int
) -> None:
    talk = Talk()
    reply_id = _speaking(talk)
    talk.send("response.cancel", response_id=reply_id)
    item_id = talk.last("response.output_item.added")["item"]["id"]
    assert talk.all(LookAhead) == []
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=heard_ms)
    assert [look.request.entries[-1] for look in talk.all(LookAhead)] == [
        AssistantText("one two")
    ] * looks


def test_an_answer_may_have_settings_of_its_own() -> None:
    talk = Talk(instructions="Be brief.", tools=[TOOL], max_output_tokens=50)
    named = {"type": "function", "name": "lookup_order"}
    talk.send("response.create", response={"instructions": "Sing.", "tool_choice": named})
    request = talk.all(StartReply)[0].request
    assert (request.instructions, request.tool_choice, request.max_tokens) == (
        "Sing.",
        "lookup_order",
        50,
    )
    talk.reply([DONE])
    talk.send("response.create", response={"instructions": None, "tools": []})
    request = talk.all(StartReply)[1].request
    assert (request.instructions, list(request.tools)) == ("Be brief.", [])


@pytest.mark.parametrize(
    "choice", [{"type": "function", "name": "ring"}, {"type": "function"}, "ring"]
)
def test_only_a_tool_on_offer_can_be_asked_for(choice: object) -> None:
    talk = Talk(tools=[TOOL])
    talk.send("response.create", response={"tool_choice": choice})
    assert talk.kinds == ["error"]
    assert talk.last("error")["error"]["param"] == "tool_choice"
    talk.send("response.create", response={"tool_choice": "required"})
    assert talk.all(StartReply)[0].request.tool_choice == "required"


def test_whether_several_tools_may_be_called_at_once() -> None:
    talk = Talk(tools=[TOOL], parallel_tool_calls=False)
    talk.send("response.create")
    talk.reply([DONE])
    talk.send("response.create", response={"parallel_tool_calls": True})
    assert [start.request.parallel_calls for start in talk.all(StartReply)] == [False, True]
