"""A conversation of the hosted large model that outgrows its context."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.vita_model.small import TINY, tokenizer
from vita_model.engine.vita_layout import Block, lay_out
from vita_model.engine.voice import AssistantText, Entry, Heard, Request, UserSpeech, UserText
from vita_model.processor import ContextError, VitaProcessor

pytestmark = pytest.mark.unit

SOUND_ROWS = 100
OPENING = len("assistant\n")
"""Bytes that stand before an answer; the caller's turn has others there."""
WORDS = "How late is it?"


@pytest.fixture(scope="module")
def processor() -> VitaProcessor:
    return VitaProcessor(tokenizer(), TINY)


def spoken(number: int, rows: int = SOUND_ROWS) -> UserSpeech:
    sound = torch.zeros(rows, TINY.language.hidden_size)
    return UserSpeech(Heard(WORDS, Block(number, sound), 5.0))


def prompts(processor: VitaProcessor, turns: int) -> list[list[object]]:
    """The prompt of each turn of a growing conversation."""
    entries: list[Entry] = []
    found = []
    for number in range(turns):
        entries.append(spoken(number))
        laid = lay_out(Request("s", "Be brief.", [], entries, max_tokens=200), processor)
        found.append(list(laid.prompt.names))
        entries.append(AssistantText("Ten past four."))
    return found


def shared(before: list[object], after: list[object]) -> int:
    pairs = zip(before, after, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(before))


def test_most_turns_go_on_from_the_cache(processor: VitaProcessor) -> None:
    found = prompts(processor, 40)
    assert all(len(names) <= TINY.max_length - 200 for names in found)
    kept = [shared(a, b) == len(a) for a, b in itertools.pairwise(found)]
    assert 2 <= kept.count(False) < len(kept) / 2


def test_words_stay_where_sound_goes(processor: VitaProcessor) -> None:
    last = prompts(processor, 14)[-1]
    heard = {name[0] for name in last if isinstance(name, tuple)}
    assert 13 in heard
    assert 0 not in heard
    text = processor.tokenizer.decode([name for name in last if isinstance(name, int)])
    assert text.count(WORDS) == 14 - len(heard)


def test_what_the_next_prompt_begins_with_is_known_with_the_answer(
    processor: VitaProcessor,
) -> None:
    entries: list[Entry] = []
    cuts, before = 0, list[object]()
    for number in range(60):
        asked = [*entries, spoken(number, rows=30)]
        names = list(lay_out(Request("s", "", [], asked, max_tokens=200), processor).prompt.names)
        assert shared(before, names) >= len(before) - OPENING
        entries = [*asked, AssistantText("Ten past four.")]
        before = list(
            lay_out(Request("s", "", [], entries, max_tokens=200), processor).prompt.names
        )
        cuts += shared(names, before) < len(names)
    assert 2 <= cuts <= 20


def test_a_last_turn_that_is_too_long_is_refused(processor: VitaProcessor) -> None:
    request = Request("s", "Be brief.", [], [UserText("word " * 500)], max_tokens=200)
    with pytest.raises(ContextError, match="room for 1800"):
        lay_out(request, processor)
