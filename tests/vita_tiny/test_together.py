"""Many sessions on one model: same answers as alone, nobody waits for nobody, cancel means it."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import torch

from tests.vita_tiny.material import recording
from vita_model.engine.tiny import TinyVoice
from vita_model.engine.voice import (
    AssistantText,
    Audio,
    Done,
    ReplyEvent,
    Request,
    State,
    Text,
    UserSpeech,
    UserText,
    VoiceModel,
)
from vita_model.speech.speaker import PhraseVoice, Speaker

pytestmark = pytest.mark.model

QUESTIONS = ("When do you open?", "How much is a cleaning?", "Where are you?", "Can I park?")


async def all_of(events: AsyncIterator[ReplyEvent]) -> list[ReplyEvent]:
    return [event async for event in events]


def text_of(events: list[ReplyEvent]) -> str:
    return "".join(event.delta for event in events if isinstance(event, Text))


async def test_answers_given_together_are_those_given_alone(voice: VoiceModel, facts: str) -> None:
    def ask(kind: str, question: str) -> AsyncIterator[ReplyEvent]:
        request = Request(f"{kind} {question}", facts, [], [UserText(question)], speak=False)
        return voice.reply(request)

    alone = [text_of(await all_of(ask("alone", question))) for question in QUESTIONS]
    together = await asyncio.gather(*(all_of(ask("together", q)) for q in QUESTIONS))
    assert [text_of(events) for events in together] == alone
    assert all(isinstance(events[-1], Done) for events in together)


async def test_a_short_question_does_not_wait_for_the_long_prompt_before_it(
    voice: VoiceModel, facts: str
) -> None:
    long = [UserText("Tell me everything. " * 150), AssistantText("Yes."), UserText("And?")]
    order: list[str] = []

    async def answer(name: str, request: Request) -> None:
        async for event in voice.reply(request):
            if isinstance(event, State):
                order.append(name)  # noqa: PERF401 - the order in time counts

    await voice.prepare("short", facts, [])
    async with asyncio.TaskGroup() as group:
        group.create_task(answer("long", Request("long", facts, [], long, speak=False)))
        short = Request("short", facts, [], [UserText("When do you open?")], speak=False)
        group.create_task(answer("short", short))
    assert order == ["short", "long"]
    await voice.forget("long")


async def test_a_cancelled_answer_is_gone_after_a_step(voice: VoiceModel, facts: str) -> None:
    assert isinstance(voice, TinyVoice)
    stream = voice.reply(Request("gone", facts, [], [UserText("When do you open?")]))
    assert isinstance(await anext(stream), State)
    await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
    # The same session again: its turn comes once the first answer has left the engine.
    again = await all_of(voice.reply(Request("gone", facts, [], [UserText("Can I park?")])))
    assert isinstance(again[-1], Done)
    assert voice.stats().replies == 0


async def test_speech_that_fails_ends_the_answer_with_the_error_and_the_next_one_speaks(
    voice: VoiceModel, facts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(voice, TinyVoice)
    request = Request("mute", facts, [], [UserText("When do you open?")])

    def broken(*_: object) -> None:
        raise ArithmeticError("no codes")

    with monkeypatch.context() as patch:
        patch.setattr(Speaker, "say", broken)
        with pytest.raises(ArithmeticError, match="no codes"):
            await all_of(voice.reply(request))
    again = await all_of(voice.reply(request))
    assert any(isinstance(event, Audio) for event in again)
    assert isinstance(again[-1], Done)


async def test_what_is_heard_while_the_caller_speaks_is_not_computed_again(
    voice: VoiceModel, facts: str
) -> None:
    samples = np.tile(recording("1-open-monday"), 4)
    before = Request("partly", facts, [], [])
    words = [await voice.hear_partly(before, samples[:end]) for end in (80_000, 100_000)]
    words.append(await voice.hear_partly(before, samples))
    assert words[0] == ""
    heard = await voice.hear(samples)
    assert words[-1]
    assert heard.transcript.startswith(words[-1])
    request = Request("partly", facts, [], [UserSpeech(heard)], speak=False)
    done = (await all_of(voice.reply(request)))[-1]
    fresh = Request("fresh", facts, [], [UserSpeech(await voice.hear(samples))], speak=False)
    await voice.prepare("fresh", facts, [])
    other = (await all_of(voice.reply(fresh)))[-1]
    assert isinstance(done, Done)
    assert isinstance(other, Done)
    assert done.cached_tokens > other.cached_tokens


@pytest.fixture
def speaker(voice: VoiceModel) -> Speaker:
    assert isinstance(voice, TinyVoice)
    return voice.parts.speaker


def test_voices_speaking_together_say_what_each_says_alone(speaker: Speaker) -> None:
    texts = ("We open at nine in the morning.", "Parking is free behind the building.")

    def read(text: str) -> PhraseVoice:
        phrase = PhraseVoice(speaker)
        assert phrase.read(text, finished=True)
        return phrase

    alone = []
    for text in texts:
        phrase = read(text)
        speaker.say([phrase], 40)
        alone.append(phrase.sound().samples)
    together = [read(text) for text in texts]
    for _ in range(5):
        speaker.say(together, 8)
    for phrase, samples in zip(together, alone, strict=True):
        assert np.allclose(phrase.sound().samples, samples, atol=1e-3)


def test_a_phrase_is_begun_with_its_first_words_and_ends_whole(speaker: Speaker) -> None:
    phrase = PhraseVoice(speaker)
    assert phrase.read("We are open on Monday", finished=False)
    begun = phrase.sayable
    assert begun > 0
    speaker.say([phrase], begun)
    assert not phrase.done
    assert phrase.read("We are open on Monday and on Tuesday.", finished=True)
    assert phrase.sayable > begun
    assert not phrase.read("They were closed.", finished=True)
    while phrase.sayable:
        speaker.say([phrase], 8)
    piece = phrase.sound()
    assert phrase.done
    assert piece.characters == len("We are open on Monday and on Tuesday.")
    assert torch.isfinite(torch.from_numpy(piece.samples)).all()
