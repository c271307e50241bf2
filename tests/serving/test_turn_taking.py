"""Who has the word: sounds over the agent's speech, patience at a pause, answers begun early."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.scripted_model import DONE, NOISE, QUERY, spoken, tone
from tests.serving.talk import Talk
from vita_model.engine.voice import Audio, Call, Heard, UserSpeech
from vita_model.serving.effects import CancelReply, Hear, Send, StartReply
from vita_model.serving.overlap import CallerLevel, Evidence, Verdict, judge
from vita_model.serving.patience import SILENCE_MS, Eagerness, Look, silence_ms
from vita_model.serving.turns import WINDOW_MS
from vita_model.serving.words import is_finished, telling, words_of

pytestmark = pytest.mark.unit

SEMANTIC = {"input": {"turn_detection": {"type": "semantic_vad"}}}
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"
DUCK = "rate_limits.updated"


def _answering(talk: Talk) -> str:
    """An answer that is half given; gives its id."""
    content = [{"type": "input_text", "text": "hi"}]
    talk.send(
        "conversation.item.create", item={"type": "message", "role": "user", "content": content}
    )
    talk.send("response.create")
    reply_id = talk.all(StartReply)[-1].reply_id
    for event in [QUERY, *spoken("one two three four five six seven eight")[:5]]:
        talk.give(reply_id, event)
    talk.clear()
    return reply_id


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("Mm-hm.", 0),
        ("Yeah, okay, I see", 0),
        ("oh all right of course", 0),
        ("a", 0),
        ("what", 1),
        ("okay and what about sunday", 3),
        ("wait", 1),
        ("no", 1),
    ],
)
def test_words_that_tell_are_no_backchannels(words: str, count: int) -> None:
    assert telling(words_of(words)) == count


@pytest.mark.parametrize(
    ("transcript", "finished"),
    [
        ("when do you open on sunday", True),
        ("what time do you close on friday a", True),
        ("yes", True),
        ("i want to book an", False),
        ("can i come on monday or", False),
        ("hold on", False),
        ("let me see", False),
        ("", False),
    ],
)
def test_a_dangling_word_calls_for_another(transcript: str, finished: bool) -> None:
    assert is_finished(transcript) is finished


def test_who_is_in_mid_sentence_is_waited_for_and_an_eager_agent_waits_less() -> None:
    for eagerness in ("low", "medium", "high"):
        done, unknown, going_on = (
            silence_ms(eagerness, finished=finished, noise=None) for finished in (True, None, False)
        )
        assert done < unknown < going_on
        assert silence_ms(eagerness, finished=True, noise=0.9) == unknown
    waits = [silence_ms(e, finished=True, noise=None) for e in ("low", "medium", "high")]
    assert waits == sorted(waits, reverse=True)
    assert silence_ms("auto", finished=True, noise=0.1) == waits[1]


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (Evidence(None, 300), Verdict.OPEN),
        (Evidence("what time", 300), Verdict.STOP),
        (Evidence("what", 300), Verdict.OPEN),
        (Evidence("what", 420), Verdict.STOP),
        (Evidence("what time", 300, below_db=12), Verdict.GO_ON),
        (Evidence("okay", 300), Verdict.OPEN),
        (Evidence("okay yeah", 540), Verdict.GO_ON),
        (Evidence("", 540), Verdict.GO_ON),
        (Evidence("mm hm", 400, over=True), Verdict.GO_ON),
        (Evidence("no", 300, over=True), Verdict.STOP),
        (Evidence("", 900, over=True), Verdict.GO_ON),
        (Evidence("", 300, query=0.9), Verdict.STOP),
        (Evidence("", 300, query=0.5), Verdict.OPEN),
        (Evidence("", 400, query=0.4), Verdict.STOP),
        (Evidence("", 400, query=0.2), Verdict.OPEN),
        (Evidence("", 200, query=0.4, elapsed_ms=400), Verdict.STOP),
        (Evidence("", 200, query=0.1, elapsed_ms=500), Verdict.GO_ON),
        (Evidence("", 500, query=0.4), Verdict.STOP),
        (Evidence("", 500, query=0.1), Verdict.GO_ON),
        (Evidence("sunday", 400, query=0.04), Verdict.OPEN),
        (Evidence("sunday", 400, query=0.06), Verdict.STOP),
        (Evidence("emma monday", 500, query=0.02), Verdict.GO_ON),
        (Evidence("what time", 300, query=0.1), Verdict.STOP),
        (Evidence("what", 400, query=0.0), Verdict.STOP),
        (Evidence("okay", 300, query=0.8), Verdict.OPEN),
        (Evidence("okay", 500, query=0.4), Verdict.GO_ON),
        (Evidence("okay yeah", 700, query=0.8), Verdict.STOP),
        (Evidence("sunday", 300, over=True, query=0.1), Verdict.GO_ON),
        (Evidence("sunday", 300, over=True, query=0.5), Verdict.STOP),
        (Evidence("okay", 300, over=True, query=0.9), Verdict.GO_ON),
        (Evidence("", 450, below_db=12, query=0.9), Verdict.GO_ON),
    ],
)
def test_a_sound_over_the_agent_is_judged_by_words_and_level(
    evidence: Evidence, verdict: Verdict
) -> None:
    assert judge(evidence) is verdict


def test_the_usual_level_follows_the_caller() -> None:
    level = CallerLevel()
    assert level.below(-40) is None
    level.note(-20)
    assert level.below(-40) == 20
    level.note(-30)
    assert level.below(-24) == 0


def test_a_question_over_the_agent_ducks_it_and_then_stops_it() -> None:
    talk = Talk(audio=SEMANTIC)
    reply_id = _answering(talk)
    talk.speech(100)
    assert talk.last(DUCK)["vita_duck"] is True
    assert talk.kinds == [DUCK]
    assert talk.give(reply_id, Audio(tone(0.25), 25))
    talk.speech(250)
    assert talk.all(CancelReply) == []
    talk.clear_sent()
    talk.hear("what time")
    assert talk.kinds[0] == STARTED
    assert talk.last("response.done")["response"]["status"] == "cancelled"
    assert talk.all(CancelReply) == [CancelReply(reply_id)]
    talk.speech(300)
    talk.silence(300)
    talk.hear("what time is it")
    talk.silence(400)
    assert talk.kinds[-3:] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert talk.last(STARTED)["item_id"] == talk.last(COMMITTED)["item_id"]


def test_a_backchannel_ducks_the_agent_for_a_moment() -> None:
    talk = Talk(audio={"input": {**SEMANTIC["input"], "transcription": {"model": "any"}}})
    reply_id = _answering(talk)
    talk.speech(250)
    talk.silence(250)
    talk.hear("mm-hm")
    assert [event["vita_duck"] for event in talk.events if event["type"] == DUCK] == [True, False]
    talk.silence(700)
    committed = talk.last(COMMITTED)
    assert committed["vita_backchannel"] is True
    assert committed["vita_audio_end_ms"] > committed["vita_audio_start_ms"]
    assert STARTED not in talk.kinds
    assert STOPPED not in talk.kinds
    assert talk.last("conversation.item.input_audio_transcription.completed")
    assert talk.all(CancelReply) == []
    talk.give(reply_id, DONE)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_a_sound_without_words_raises_the_agent_again_while_it_goes_on() -> None:
    talk = Talk(audio=SEMANTIC)
    _answering(talk)
    talk.speech(700)
    talk.hear("")
    talk.speech(300)
    talk.hear("")
    assert [event["vita_duck"] for event in talk.events if event["type"] == DUCK] == [True, False]
    talk.speech(2_000)
    talk.hear("could you tell me")
    assert STARTED in talk.kinds


def test_an_answer_asked_for_is_not_held_up_by_a_sound_in_passing() -> None:
    talk = Talk(audio=SEMANTIC)
    reply_id = _answering(talk)
    talk.speech(700)
    talk.hear("")
    talk.speech(200)
    talk.hear("")
    talk.send("response.create")
    talk.give(reply_id, DONE)
    assert "response.created" in talk.kinds


def test_what_is_said_until_after_the_agent_has_ended_is_a_turn() -> None:
    talk = Talk(audio=SEMANTIC)
    reply_id = _answering(talk)
    talk.speech(250)
    talk.give(reply_id, DONE)
    talk.now += 30
    talk.silence(250)
    talk.hear("yes")
    talk.silence(700)
    assert [kind for kind in talk.kinds if kind.startswith("input_audio")] == [
        STARTED,
        STOPPED,
        COMMITTED,
    ]
    assert "vita_backchannel" not in talk.last(COMMITTED)


@pytest.mark.parametrize(
    "turns", [((0.9, True), (0.12, False), (0.12, True)), ((0.5, True), (0.2, True))]
)
def test_somebody_far_from_the_phone_is_not_answered_but_a_caller_who_went_away_is(
    turns: tuple[tuple[float, bool], ...],
) -> None:
    talk = Talk(audio=SEMANTIC)
    for loudness, answered in turns:
        talk.clear()
        talk.speech(800, loudness)
        talk.silence(250)
        talk.hear("where are my keys")
        talk.silence(500)
        assert ("response.created" in talk.kinds) is answered
        assert ("vita_backchannel" in talk.last(COMMITTED)) is not answered
        if answered:
            talk.reply()
            talk.now += 30


def test_a_finished_sentence_is_answered_sooner_than_one_in_the_middle() -> None:
    waited = {}
    for words in ("when do you open", "i want to book an"):
        talk = Talk(audio=SEMANTIC)
        talk.speech(800)
        talk.silence(250)
        talk.hear(words)
        ms = 250
        while STOPPED not in talk.kinds:
            talk.silence(32)
            ms += 32
        waited[words] = ms
    assert waited["when do you open"] < 500
    assert waited["i want to book an"] > 1_500


def test_a_likely_noise_is_given_time_to_become_a_sentence() -> None:
    talk = Talk(audio=SEMANTIC)
    talk.speech(800)
    talk.silence(250)
    talk.hear("the door")
    talk.give(talk.all(StartReply)[-1].reply_id, NOISE)
    talk.silence(300)
    assert STOPPED not in talk.kinds
    talk.silence(300)
    assert STOPPED in talk.kinds


def test_an_answer_begun_early_is_told_once_the_turn_is_over() -> None:
    talk = Talk()
    talk.speech(800)
    talk.silence(250)
    talk.hear("where is my order")
    (early,) = talk.all(StartReply)
    assert isinstance(early.request.entries[-1], UserSpeech)
    before = list(talk.kinds)
    for event in [QUERY, Call("lookup_order", "{}"), DONE]:
        talk.give(early.reply_id, event)
    assert talk.kinds == before
    talk.silence(400)
    assert talk.last("response.done")["response"]["output"][0]["name"] == "lookup_order"
    assert talk.last("response.created")["response"]["id"] == early.reply_id
    assert talk.all(StartReply) == [early]


def test_an_answer_begun_too_early_is_thrown_away() -> None:
    talk = Talk()
    talk.speech(800)
    talk.silence(250)
    talk.hear("where is my order")
    (early,) = talk.all(StartReply)
    for event in [QUERY, *spoken("It is on its way.")[:3]]:
        talk.give(early.reply_id, event)
    talk.speech(400)
    assert talk.all(CancelReply) == [CancelReply(early.reply_id)]
    assert talk.give(early.reply_id, spoken("It is")[1]) == []
    talk.silence(300)
    talk.hear("where is my order one two three")
    talk.silence(400)
    final = talk.all(StartReply)[-1]
    (entry,) = final.request.entries
    assert isinstance(entry, UserSpeech)
    assert entry.heard.transcript == "where is my order one two three"
    talk.reply()
    spoken_text = [e["delta"] for e in talk.events if e["type"].endswith("transcript.delta")]
    assert "".join(spoken_text) == "It is nine."


def test_an_early_answer_to_something_else_is_asked_again() -> None:
    talk = Talk()
    talk.speech(800)
    talk.silence(250)
    talk.hear("where is my order")
    (early,) = talk.all(StartReply)
    content = [{"type": "input_text", "text": "the caller is a member"}]
    talk.send(
        "conversation.item.create", item={"type": "message", "role": "system", "content": content}
    )
    talk.silence(400)
    assert talk.all(CancelReply) == [CancelReply(early.reply_id)]
    assert len(talk.all(StartReply)[-1].request.entries) == 2


def test_a_model_that_fails_early_is_asked_again() -> None:
    talk = Talk()
    talk.speech(800)
    talk.silence(250)
    talk.hear("where is my order")
    (early,) = talk.all(StartReply)
    assert talk.failed(early.reply_id) == []
    talk.silence(400)
    assert talk.all(StartReply)[-1].reply_id != early.reply_id
    talk.reply()
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_a_failed_look_decides_nothing() -> None:
    talk = Talk(audio=SEMANTIC)
    _answering(talk)
    talk.speech(320)
    look = talk.all(Hear)[-1]
    assert talk.dialogue.hearing_failed(look.hearing_id, "no ears") == []
    talk.speech(100)
    assert talk.all(Hear)[-1] != look
    assert talk.dialogue.heard(look.hearing_id, Heard("what time", None, 1.0)) == []


def test_a_caller_the_model_had_no_time_to_listen_to_is_not_passed_over() -> None:
    talk = Talk(audio=SEMANTIC)
    reply_id = _answering(talk)
    talk.speech(900)
    talk.silence(8_000)
    assert STARTED in talk.kinds
    assert "vita_backchannel" not in talk.last(COMMITTED)
    assert talk.all(CancelReply) == [CancelReply(reply_id)]


def _semantic(**detection: Any) -> Talk:
    return Talk(audio={"input": {"turn_detection": {"type": "semantic_vad", **detection}}})


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
@pytest.mark.parametrize(
    ("words", "look"),
    [("when do you open", "finished"), (None, "unsure"), ("i want to book an", "unfinished")],
)
def test_a_turn_ends_after_the_silence_its_words_and_the_eagerness_call_for(
    eagerness: Eagerness, words: str | None, look: Look
) -> None:
    talk = _semantic(eagerness=eagerness)
    talk.speech(800)
    silent_ms, listened = 0, False
    while STOPPED not in talk.kinds:
        talk.silence(WINDOW_MS)
        silent_ms += WINDOW_MS
        if talk.all(Hear) and words is not None and not listened:
            talk.hear(words)
            listened = True
    assert abs(silent_ms - SILENCE_MS[eagerness][look]) <= 2 * WINDOW_MS


def test_a_change_of_eagerness_counts_from_the_next_turn() -> None:
    talk = _semantic(eagerness="low")
    detection = {"type": "semantic_vad", "eagerness": "high"}
    talk.send(
        "session.update",
        session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}},
    )
    talk.speech(800)
    talk.silence(SILENCE_MS["high"]["unsure"] + WINDOW_MS)
    assert STOPPED in talk.kinds


def test_in_mid_sentence_no_answer_is_begun_and_none_where_the_client_asks_for_answers() -> None:
    for talk, words in (
        (_semantic(), "i want to book an"),
        (_semantic(create_response=False), "when do you open"),
        (_semantic(), ""),
    ):
        talk.speech(800)
        talk.silence(250)
        talk.hear(words)
        assert talk.all(StartReply) == []


def test_the_first_phrase_is_ready_when_a_turn_that_sounds_finished_is_over() -> None:
    talk = _semantic()
    talk.speech(800)
    talk.silence(250)
    talk.hear("when do you open")
    (early,) = talk.all(StartReply)
    phrase = [QUERY, *spoken("At nine.")]
    for event in phrase:
        assert talk.give(early.reply_id, event) == []
    while STOPPED not in talk.kinds:
        assert "response.output_audio.delta" not in talk.kinds
        effects = talk.silence(WINDOW_MS)
    told = [e.event["type"] for e in effects if isinstance(e, Send)]
    assert "response.output_audio.delta" in told
    assert talk.all(StartReply) == [early]


@pytest.mark.parametrize("ending", ["input_audio_buffer.commit", "input_audio_buffer.clear"])
def test_a_client_that_ends_or_clears_the_turn_takes_the_early_answer_back(ending: str) -> None:
    talk = _semantic()
    talk.speech(800)
    talk.silence(250)
    talk.hear("when do you open")
    (early,) = talk.all(StartReply)
    talk.send(ending)
    assert talk.all(CancelReply) == [CancelReply(early.reply_id)]
    assert talk.give(early.reply_id, spoken("At nine.")[0]) == []
