"""The agent's side of the protocol, event by event."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from agent.audio import TELEPHONE
from agent.pipeline.effects import (
    CallerHeard,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    Effect,
    Problem,
    ReplyAudio,
    ReplyEnded,
    ReplySpoken,
    ReplyText,
    Send,
    ToolsOvertaken,
    ToolWanted,
    TurnTaken,
)
from agent.pipeline.history import Event
from agent.pipeline.model_server import session_settings
from agent.pipeline.realtime import RealtimeDialogue

pytestmark = pytest.mark.unit


def dialogue(*, opened: bool = True) -> RealtimeDialogue:
    talk = RealtimeDialogue(session_settings("Be brief.", [], "default", TELEPHONE))
    if opened:
        talk.open(0)
    return talk


def with_camera() -> RealtimeDialogue:
    settings = session_settings("Be brief.", [], "default", TELEPHONE, create_response=False)
    talk = RealtimeDialogue(settings)
    talk.open(0)
    return talk


def spoken_turn(item: str, previous: str | None, **extra: bool) -> list[Event]:
    return [
        {"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": 500},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": 1500},
        {
            "type": "input_audio_buffer.committed",
            "item_id": item,
            "previous_item_id": previous,
            **extra,
        },
    ]


def created(metadata: dict[str, str] | None = None) -> Event:
    return {"type": "response.created", "response": {"id": "r", "metadata": metadata or {}}}


def done(status: str = "completed", **metadata: str) -> Event:
    return {"type": "response.done", "response": {"status": status, "metadata": metadata}}


def audio(item: str = "a", payload: bytes = b"\x01\x02") -> Event:
    delta = base64.b64encode(payload).decode()
    return {"type": "response.output_audio.delta", "item_id": item, "delta": delta}


def text(piece: str, item: str = "a") -> Event:
    return {"type": "response.output_audio_transcript.delta", "item_id": item, "delta": piece}


def tool(call_id: str, name: str = "lookup") -> list[Event]:
    item = {"type": "function_call", "call_id": call_id, "name": name}
    return [
        {"type": "response.output_item.added", "item": item},
        {
            "type": "response.function_call_arguments.done",
            "item_id": f"f_{call_id}",
            "call_id": call_id,
            "arguments": "{}",
        },
    ]


def heard(item: str, start_ms: int = 1000, end_ms: int = 2000) -> list[Event]:
    return [
        {
            "type": "input_audio_buffer.speech_started",
            "item_id": item,
            "audio_start_ms": start_ms,
        },
        {"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": end_ms},
        {"type": "input_audio_buffer.committed", "item_id": item},
    ]


def words(item: str, transcript: str) -> Event:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": item,
        "transcript": transcript,
    }


def feed(talk: RealtimeDialogue, *events: Event) -> list[Effect]:
    return [effect for event in events for effect in talk.receive(event)]


def sent(effects: list[Effect]) -> list[Event]:
    return [effect.event for effect in effects if isinstance(effect, Send)]


def told(events: list[Event]) -> list[Any]:
    """Types and texts of the entries among some client events."""
    items = [e["item"] for e in events if e["type"] == "conversation.item.create"]
    return [i["content"][0]["text"] if "content" in i else i["type"] for i in items]


def asks(events: list[Event]) -> list[str]:
    """What each `response.create` among some client events is to say."""
    creates = [e["response"]["metadata"] for e in events if e["type"] == "response.create"]
    return [metadata.get("vita_say", "") for metadata in creates]


def test_words_are_told_as_they_come_for_turns_that_were_announced() -> None:
    talk = dialogue()
    begin, *_ = heard("t1")
    pieces = [
        {
            "type": "conversation.item.input_audio_transcription.delta",
            "item_id": item,
            "delta": piece,
        }
        for item, piece in (("t1", "when"), ("t1", " do"), ("other", "what"))
    ]
    told_early = [e for e in feed(talk, begin, *pieces) if isinstance(e, CallerHeard)]
    assert [(each.text, each.start_ms) for each in told_early] == [
        ("when", 1000),
        ("when do", 1000),
    ]


def test_a_session_is_set_up_before_anything_is_asked() -> None:
    talk = dialogue(opened=False)
    assert talk.say("Hello.") == []
    events = talk.open(0)
    assert [event["type"] for event in events] == ["session.update", "response.create"]
    response = events[1]["response"]
    assert response["metadata"]["vita_say"] == "Hello."
    assert response["instructions"] == "Say exactly: Hello."


def test_one_response_is_asked_for_at_a_time() -> None:
    talk = dialogue()
    assert asks(talk.say("one")) == ["one"]
    assert talk.say("two") == []
    effects = feed(talk, created(), audio(), done())
    assert asks(sent(effects)) == ["two"]


def test_a_response_of_the_servers_own_is_not_taken_for_the_one_asked_for() -> None:
    talk = dialogue()
    (ask,) = talk.say("one")
    feed(talk, *heard("u"), created({}))
    assert asks(sent(feed(talk, done()))) == []
    feed(talk, created(ask["response"]["metadata"]), done())
    assert talk.idle


def test_a_busy_server_is_asked_again_when_it_is_free() -> None:
    talk = dialogue()
    (ask,) = talk.say("one")
    busy = {"code": "conversation_already_has_active_response", "event_id": ask["event_id"]}
    assert sent(feed(talk, {"type": "error", "error": busy})) == []
    assert asks(sent(feed(talk, done()))) == ["one"]


def test_what_the_caller_says_lies_on_the_calls_own_timeline() -> None:
    talk = dialogue(opened=False)
    talk.open(60_000)
    effects = feed(talk, *heard("u", 1000, 2500), words("u", " hello "))
    assert effects == [
        CallerStarted(61_000),
        CallerStopped(62_500),
        CallerSaid("hello", 61_000, 62_500),
    ]


def test_speech_and_its_words_come_out_in_order_and_end_once() -> None:
    talk = dialogue()
    ended = {"type": "response.output_audio.done", "item_id": "a"}
    effects = feed(talk, created(), text("Hi "), audio(), text("you"), audio(), ended, done())
    assert effects == [
        ReplyText("a", "Hi "),
        ReplyAudio("a", b"\x01\x02"),
        ReplyText("a", "you"),
        ReplyAudio("a", b"\x01\x02"),
        ReplySpoken("a"),
        ReplyEnded("completed"),
    ]


def test_a_server_that_leaves_out_the_end_of_the_audio_ends_it_with_the_response() -> None:
    talk = dialogue()
    effects = feed(talk, created(), audio(), done("cancelled"))
    assert effects[-2:] == [ReplySpoken("a"), ReplyEnded("cancelled")]


def test_after_a_cut_nothing_of_the_item_comes_through_and_history_holds_what_was_heard() -> None:
    talk = dialogue()
    feed(talk, created(), text("one two three"), audio())
    (truncate,) = talk.cut("a", 480, "one")
    assert truncate == {
        "type": "conversation.item.truncate",
        "item_id": "a",
        "content_index": 0,
        "audio_end_ms": 480,
    }
    assert feed(talk, text(" four"), audio()) == []
    feed(talk, done("cancelled"))
    talk.lost()
    assert told(talk.open(0)) == ["one"]


def test_two_tools_are_answered_with_one_response() -> None:
    talk = dialogue()
    effects = feed(talk, *heard("u"), created(), *tool("c1"), *tool("c2", "other"))
    wanted = [effect for effect in effects if isinstance(effect, ToolWanted)]
    assert wanted == [ToolWanted("c1", "lookup", "{}"), ToolWanted("c2", "other", "{}")]
    assert asks(talk.tool_finished("c1", "1")) == []
    assert sent(feed(talk, done())) == []
    events = talk.tool_finished("c2", "2")
    assert [event["type"] for event in events] == ["conversation.item.create", "response.create"]


def test_tools_the_caller_has_left_behind_are_named_when_the_next_turn_calls_another() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), created(), *tool("c1"), done())
    assert feed(talk, *heard("u2"), created(), done(vita_state="noise"))[2:] == [
        ReplyEnded("completed", {"vita_state": "noise"})
    ]
    still_there = feed(talk, *heard("u3"), created(), text("Yes, one moment."), done())
    assert not [effect for effect in still_there if isinstance(effect, ToolsOvertaken)]
    feed(talk, *heard("u4"))
    effects = feed(talk, created(), text("Sure."), *tool("c2"), audio(), *tool("c3"), done())
    assert [effect for effect in effects if isinstance(effect, ToolsOvertaken)] == [
        ToolsOvertaken(frozenset({"c1"}))
    ]
    assert effects.index(ToolsOvertaken(frozenset({"c1"}))) + 1 == effects.index(
        ToolWanted("c2", "lookup", "{}")
    )


def test_a_typed_turn_leaves_tools_behind_and_words_of_ours_do_not() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), created(), *tool("c1"), done())
    (ask,) = talk.say("One moment.")
    effects = feed(talk, created(ask["response"]["metadata"]), text("One moment."), done())
    assert not [effect for effect in effects if isinstance(effect, ToolsOvertaken)]
    _, ask = talk.typed("And the other?")
    effects = feed(talk, created(ask["response"]["metadata"]), *tool("c2"))
    assert effects[0] == ToolsOvertaken(frozenset({"c1"}))


def test_a_broken_off_tool_is_told_and_not_talked_about_but_a_kept_one_is() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), created(), *tool("c1"), *tool("c2"), done())
    feed(talk, *heard("u2"), created(), audio())
    (item,) = talk.tool_cancelled("c1", "gone")
    assert (item["item"]["type"], item["item"]["output"]) == ("function_call_output", "gone")
    assert talk.tool_cancelled("c1", "gone") == []
    assert asks(sent(feed(talk, done()))) == []
    assert not talk.idle
    assert asks(talk.tool_finished("c2", "booked")) == [""]


def test_a_fast_tool_waits_for_the_end_of_the_response_that_called_it() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), created(), *tool("c1"))
    assert [event["type"] for event in talk.tool_finished("c1", "1")] == [
        "conversation.item.create"
    ]
    assert asks(sent(feed(talk, done()))) == [""]


def test_an_answer_the_server_has_begun_by_itself_is_not_asked_for_twice() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), created(), *tool("c1"), done())
    feed(talk, *heard("u2"))
    talk.tool_finished("c1", "1")
    feed(talk, created())
    assert asks(sent(feed(talk, audio(), done()))) == []
    assert talk.idle


def test_noise_leaves_no_trace_in_the_conversation() -> None:
    talk = dialogue()
    effects = feed(talk, *heard("u"), words("u", "brr"), created(), done(vita_state="noise"))
    ended = effects[-1]
    assert isinstance(ended, ReplyEnded)
    assert ended.is_noise
    talk.lost()
    assert told(talk.open(0)) == []


def test_a_new_session_is_told_everything_in_order() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), words("u", "where is it"), created(), *tool("c1"), done())
    talk.tool_finished("c1", "7")
    feed(talk, created(), text("Here."), audio(), done())
    talk.typed("Keys pressed: 1")
    talk.lost()
    events = talk.open(0)
    assert told(events) == [
        "where is it",
        "function_call",
        "function_call_output",
        "Here.",
        "Keys pressed: 1",
    ]
    assert asks(events) == [""]


@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_that_is_lost_half_said_is_asked_for_again(begun: bool) -> None:
    talk = dialogue()
    feed(talk, *heard("u"), words("u", "when"))
    if begun:
        feed(talk, created(), text("At ni"), audio())
    lost = talk.lost()
    assert lost.resume_ms is None
    assert list(lost.unfinished) == (["a"] if begun else [])
    events = talk.open(0)
    assert told(events) == ["when"]
    assert asks(events) == [""]


def test_a_greeting_that_is_lost_is_said_again() -> None:
    talk = dialogue()
    (ask,) = talk.say("Hello.")
    feed(talk, created(ask["response"]["metadata"]))
    talk.lost()
    assert asks(talk.open(0)) == ["Hello."]


def test_an_answer_whose_speech_was_complete_is_not_asked_for_again() -> None:
    talk = dialogue()
    ended = {"type": "response.output_audio.done", "item_id": "a"}
    feed(talk, *heard("u"), words("u", "when"), created(), text("At nine."), audio(), ended)
    talk.lost()
    events = talk.open(0)
    assert told(events) == ["when", "At nine."]
    assert asks(events) == []


def test_words_nobody_wrote_down_are_wanted_again_as_audio() -> None:
    talk = dialogue()
    feed(talk, *heard("u", 5000, 6000))
    assert talk.lost().resume_ms == 5000
    assert asks(talk.open(5000)) == []


def test_a_caller_in_mid_sentence_is_wanted_again_as_audio() -> None:
    talk = dialogue()
    feed(talk, heard("u", 5000)[0])
    assert talk.lost().resume_ms == 5000


def test_a_tool_that_outlives_the_connection_is_answered_in_the_next() -> None:
    talk = dialogue()
    feed(talk, *heard("u"), words("u", "q"), created(), *tool("c1"), done())
    talk.lost()
    assert asks(talk.open(0)) == []
    events = talk.tool_finished("c1", "7")
    assert told(events) == ["function_call_output"]
    assert asks(events) == [""]


def test_a_failed_response_is_asked_for_again_and_counted() -> None:
    talk = dialogue()
    (ask,) = talk.say("Hello.")
    effects = feed(talk, created(ask["response"]["metadata"]), done("failed"))
    assert asks(sent(effects)) == ["Hello."]
    assert talk.failures == 1
    (again,) = sent(effects)
    feed(talk, created(again["response"]["metadata"]), audio(), done())
    assert talk.failures == 0


def test_a_refused_request_is_a_failed_response() -> None:
    talk = dialogue()
    (ask,) = talk.say("Hello.")
    error = {"type": "error", "error": {"code": "invalid_value", "event_id": ask["event_id"]}}
    assert asks(sent(feed(talk, error))) == ["Hello."]
    assert talk.failures == 1


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": None},
        {"type": "response.output_audio.delta", "delta": "%%%"},
        {"type": "response.function_call_arguments.done"},
        {"type": "response.done"},
        {"type": "response.created", "response": 5},
        {"type": "conversation.item.added", "item": []},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": "soon"},
        {"type": "error", "error": "sorry"},
        {"type": "something.new"},
    ],
)
def test_no_event_can_break_the_dialogue(event: Event) -> None:
    effects = dialogue().receive(event)
    assert all(isinstance(effect, Problem | CallerStarted) for effect in effects)


PICTURE = "data:image/jpeg;base64,AAAA"


def test_with_a_camera_the_agent_asks_for_the_answer_once_the_picture_is_told() -> None:
    talk = with_camera()
    *_, turn = [e for event in spoken_turn("t1", None) for e in talk.receive(event)]
    assert turn == TurnTaken("t1", "", 1500)
    assert talk.waiting
    create, ask = talk.answer_turn(turn, PICTURE)
    assert create["previous_item_id"] == "root"
    assert create["item"]["role"] == "user"
    assert create["item"]["content"] == [{"type": "input_image", "image_url": PICTURE}]
    assert ask["type"] == "response.create"
    assert talk.answer_turn(turn, PICTURE) == []
    talk.receive(created(ask["response"]["metadata"]))
    talk.receive(done())
    assert talk.idle
    # the next picture takes the place of the last, right before the words it goes with
    *_, turn = [e for event in spoken_turn("t2", "a") for e in talk.receive(event)]
    assert isinstance(turn, TurnTaken)
    newer, forget, ask = talk.answer_turn(turn, PICTURE)
    assert newer["previous_item_id"] == "a"
    assert forget == {"type": "conversation.item.delete", "item_id": create["item"]["id"]}
    assert ask["type"] == "response.create"


def test_a_turn_without_a_picture_is_answered_all_the_same() -> None:
    talk = with_camera()
    *_, turn = [e for event in spoken_turn("t1", "a") for e in talk.receive(event)]
    assert isinstance(turn, TurnTaken)
    (ask,) = talk.answer_turn(turn, "")
    assert ask["type"] == "response.create"


def test_a_turn_that_was_not_asked_for_yet_is_owed_by_the_next_session() -> None:
    talk = with_camera()
    for event in spoken_turn("t1", "a"):
        talk.receive(event)
    transcript = {"item_id": "t1", "transcript": "what colour is this"}
    talk.receive({"type": "conversation.item.input_audio_transcription.completed", **transcript})
    talk.lost()
    kinds = [event["type"] for event in talk.open(0)]
    assert kinds == ["session.update", "conversation.item.create", "response.create"]


@pytest.mark.parametrize("make", [dialogue, with_camera])
def test_a_sound_in_passing_asks_for_no_answer(make: Callable[[], RealtimeDialogue]) -> None:
    talk = make()
    effects = [
        e for event in spoken_turn("t1", "a", vita_backchannel=True) for e in talk.receive(event)
    ]
    assert effects == [CallerStarted(500), CallerStopped(1500)]
    assert talk.idle


def test_a_sound_in_passing_that_was_not_announced_is_said_when_it_was() -> None:
    talk = dialogue()
    passing = {"item_id": "t1", "vita_backchannel": True}
    span = {"vita_audio_start_ms": 700, "vita_audio_end_ms": 1_100}
    talk.receive({"type": "input_audio_buffer.committed", **passing, **span})
    heard = {"item_id": "t1", "transcript": "mm-hm"}
    kind = "conversation.item.input_audio_transcription.completed"
    assert talk.receive({"type": kind, **heard}) == [CallerSaid("mm-hm", 700, 1_100)]


def test_a_typed_turn_shows_its_picture_first() -> None:
    talk = with_camera()
    (create,) = talk.show(PICTURE)
    assert "previous_item_id" not in create
    assert talk.show("") == []
