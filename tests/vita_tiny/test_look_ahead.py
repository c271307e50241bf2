"""A conversation that outgrows its prompt: what the cut leaves is computed while the answer is played."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from vita_model.engine import layout, trimming
from vita_model.engine.voice import (
    AssistantText,
    Done,
    Entry,
    Request,
    Text,
    UserText,
    VoiceModel,
)

pytestmark = pytest.mark.model

QUESTIONS = ("When do you open on Monday?", "How much is a cleaning?", "Where can I park?")
NEW_ROWS = 24
"""A question with the marks around it."""


@pytest.fixture(autouse=True)
def short_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room of a tenth, with as much of it for the next turn as ever."""
    monkeypatch.setattr(layout, "LONGEST_PROMPT", 400)
    monkeypatch.setattr(trimming, "FULL_SHARE", 0.85)


@dataclass
class Talk:
    """A typed conversation that is soon full."""

    voice: VoiceModel
    session: str
    facts: str
    entries: list[Entry] = field(
        default_factory=lambda: [UserText("Hello?"), AssistantText("Good morning to you!")] * 11
    )

    def request(self) -> Request:
        return Request(self.session, self.facts, [], [*self.entries], speak=False, max_tokens=8)

    async def ask(self, question: str) -> tuple[Done, str]:
        self.entries.append(UserText(question))
        events = [event async for event in self.voice.reply(self.request())]
        text = "".join(event.delta for event in events if isinstance(event, Text))
        self.entries.append(AssistantText(text))
        assert isinstance(events[-1], Done)
        return events[-1], text

    async def until_full(self) -> None:
        """Exchanges up to the one after which something is left out."""
        before = 0
        for turn in range(6):
            done, _ = await self.ask(QUESTIONS[turn % 3])
            if done.input_tokens < before:
                del self.entries[-2:]
                return
            before = done.input_tokens
        raise AssertionError("nothing was left out")


async def test_a_cut_leaves_the_next_answer_only_its_new_rows(
    voice: VoiceModel, facts: str
) -> None:
    talk = Talk(voice, "ahead", facts)
    lengths, computed = [], []
    for turn in range(5):
        await voice.look_ahead(talk.request())
        done, _ = await talk.ask(QUESTIONS[turn % 3])
        lengths.append(done.input_tokens)
        computed.append(done.input_tokens - done.cached_tokens)
    assert any(after < before for before, after in pairwise(lengths))
    assert max(computed) <= NEW_ROWS


async def test_it_is_the_answer_that_is_given_without_looking_ahead(
    voice: VoiceModel, facts: str
) -> None:
    talk = Talk(voice, "full", facts)
    await talk.until_full()
    await voice.look_ahead(talk.request())
    ahead = await talk.ask(QUESTIONS[0])
    del talk.entries[-2:]
    await voice.forget("full")
    fresh = await talk.ask(QUESTIONS[0])
    assert ahead[1] == fresh[1]
    assert ahead[0].input_tokens == fresh[0].input_tokens
    assert fresh[0].cached_tokens == 0


async def test_an_answer_that_is_cut_short_afterwards_costs_its_own_rows_alone(
    voice: VoiceModel, facts: str
) -> None:
    talk = Talk(voice, "short", facts)
    await talk.until_full()
    await voice.look_ahead(talk.request())
    last = talk.entries[-1]
    assert isinstance(last, AssistantText)
    talk.entries[-1] = AssistantText(last.text.partition(" ")[0])
    done, _ = await talk.ask(QUESTIONS[0])
    assert done.input_tokens - done.cached_tokens <= 2 * NEW_ROWS


async def test_looking_ahead_ends_when_the_caller_is_answered(
    voice: VoiceModel, facts: str
) -> None:
    talk = Talk(voice, "at once", facts)
    before = talk.request()
    (done, _), _ = await asyncio.gather(talk.ask(QUESTIONS[0]), voice.look_ahead(before))
    assert done.output_tokens > 0
    assert voice.stats().replies == 0
