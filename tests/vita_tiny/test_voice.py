"""vita-tiny hears, answers from the prompt, calls tools, stays silent at noise, and speaks."""

import json
from itertools import pairwise

import numpy as np
import pytest

from tests.vita_tiny.material import FACTS, recording
from vita_model.engine.voice import (
    AssistantText,
    Audio,
    Call,
    Done,
    Entry,
    Heard,
    ReplyEvent,
    Request,
    State,
    Text,
    ToolCall,
    ToolOutput,
    ToolSpec,
    UserSpeech,
    UserText,
    VoiceModel,
)

pytestmark = pytest.mark.model

ORDER = ToolSpec(
    "lookup_order",
    "find the status of an order",
    {
        "type": "object",
        "properties": {"order_id": {"type": "string"}},
        "required": ["order_id"],
    },
)
PERSON = ToolSpec(
    "transfer_to_human",
    "connect the caller to a person",
    {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]},
)


async def ask(
    voice: VoiceModel,
    instructions: str,
    *entries: Entry,
    session: str = "test",
    speak: bool = False,
) -> list[ReplyEvent]:
    request = Request(session, instructions, [ORDER, PERSON], entries, speak=speak)
    return [event async for event in voice.reply(request)]


def text_of(events: list[ReplyEvent]) -> str:
    return "".join(event.delta for event in events if isinstance(event, Text))


async def heard(voice: VoiceModel, name: str) -> UserSpeech:
    return UserSpeech(await voice.hear(recording(name)))


async def test_hears_voices_it_was_never_trained_on(voice: VoiceModel) -> None:
    wanted = {
        "1-open-monday": "what time do you open on monday",
        "3-price": "how much is a cleaning",
        "5b-order-number": "48213",
        "7-person": "can i speak to a real person please",
    }
    wrong = total = 0
    for name, words in wanted.items():
        got = (await heard(voice, name)).heard.transcript.split()
        total += len(words.split())
        wrong += sum(word not in got for word in words.split())
    assert wrong / total <= 0.25


@pytest.mark.parametrize("opens", ["9 am", "8:30 am", "11 am"])
async def test_the_answer_follows_the_facts(voice: VoiceModel, opens: str) -> None:
    facts = FACTS.format(opens=opens)
    events = await ask(voice, facts, await heard(voice, "1-open-monday"), session=opens)
    state = events[0]
    assert isinstance(state, State)
    assert state.marker == "query"
    assert opens in text_of(events)
    assert isinstance(events[-1], Done)


async def test_typed_questions_get_the_typed_state(voice: VoiceModel, facts: str) -> None:
    events = await ask(voice, facts, UserText("How much is a cleaning?"))
    state = events[0]
    assert isinstance(state, State)
    assert state.marker == "typed"
    assert {*state.probabilities} == {"query", "typed", "noise"}
    assert sum(state.probabilities.values()) == pytest.approx(1)
    assert state.probabilities["typed"] > 0.5
    assert "$85" in text_of(events)


async def test_an_order_number_becomes_a_tool_call_and_its_result_an_answer(
    voice: VoiceModel, facts: str
) -> None:
    question = UserText("Where is my order 48213?")
    events = await ask(voice, facts, question)
    calls = [event for event in events if isinstance(event, Call)]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [
        ("lookup_order", {"order_id": "48213"})
    ]
    assert text_of(events) == ""
    call = ToolCall("c1", calls[0].name, calls[0].arguments)
    result = ToolOutput("c1", '{"order_id": "48213", "status": "out for delivery"}')
    answer = text_of(await ask(voice, facts, question, call, result))
    assert "48213" in answer or "delivery" in answer


async def test_wanting_a_person_calls_the_transfer(voice: VoiceModel, facts: str) -> None:
    events = await ask(voice, facts, await heard(voice, "7-person"))
    assert [e.name for e in events if isinstance(e, Call)] == ["transfer_to_human"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
async def test_sound_of_no_numbers_is_refused(voice: VoiceModel, facts: str, wrong: float) -> None:
    samples = recording("3-price")
    samples[17] = wrong
    with pytest.raises(ValueError, match="no numbers"):
        await voice.hear(samples)
    with pytest.raises(ValueError, match="no numbers"):
        await voice.hear_partly(Request("test", facts, [], []), samples)


async def test_noise_gets_no_answer(voice: VoiceModel, facts: str) -> None:
    rng = np.random.default_rng(1)
    noise = (0.02 * rng.standard_normal(24_000)).astype(np.float32)
    events = await ask(voice, facts, UserSpeech(await voice.hear(noise)), speak=True)
    assert isinstance(events[0], State)
    assert events[0].marker == "noise"
    assert [type(event) for event in events[1:]] == [Done]


async def test_speech_comes_in_pieces_that_follow_the_text(voice: VoiceModel, facts: str) -> None:
    events = await ask(voice, facts, UserText("When do you open?"), speak=True)
    audio = [event for event in events if isinstance(event, Audio)]
    assert len(audio) >= 2
    ends = [piece.text_end for piece in audio]
    assert all(a <= b for a, b in pairwise(ends))
    assert ends[-1] == len(text_of(events))
    sound = np.concatenate([piece.samples for piece in audio])
    assert sound.dtype == np.float32
    assert float(np.abs(sound).max()) <= 1.0
    assert float(np.sqrt(np.mean(sound**2))) > 0.01


async def test_a_cancelled_reply_leaves_the_session_usable(voice: VoiceModel, facts: str) -> None:
    question = UserText("When do you open?")
    stream = voice.reply(Request("cancel", facts, [], [question]))
    assert isinstance(await anext(stream), State)
    await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
    again = await ask(voice, facts, question, session="cancel")
    assert "9 am" in text_of(again)


async def test_what_was_said_before_is_not_computed_again(voice: VoiceModel, facts: str) -> None:
    first = UserText("When do you open?")
    events = await ask(voice, facts, first, session="reuse")
    answer = AssistantText(text_of(events))
    again = await ask(voice, facts, first, answer, UserText("And on Saturday?"), session="reuse")
    done = again[-1]
    assert isinstance(done, Done)
    assert done.cached_tokens > 0.7 * done.input_tokens


async def test_says_a_given_text(voice: VoiceModel) -> None:
    text = "Hello, this is Brightside Dental. How can I help you?"
    events = [event async for event in voice.say(text)]
    assert text_of(events) == text
    audio = [event for event in events if isinstance(event, Audio)]
    seconds = sum(len(piece.samples) for piece in audio) / voice.output_rate
    assert 1.5 < seconds < 8
    assert audio[-1].text_end == len(text)


async def test_very_short_sound_is_heard_without_fault(voice: VoiceModel) -> None:
    result = await voice.hear(np.zeros(1_600, np.float32))
    assert isinstance(result, Heard)
    assert result.transcript == ""
