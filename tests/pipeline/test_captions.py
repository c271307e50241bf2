"""What a caller who can read is shown."""

from __future__ import annotations

import pytest

from agent.api import Caption
from agent.pipeline.captions import Captions
from agent.pipeline.effects import CallerHeard, CallerSaid
from agent.pipeline.playback import Reply
from tests.pipeline.phone import Notebook, Phone

pytestmark = pytest.mark.unit


class Screen(Phone):
    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Caption] = []

    def show_caption(self, caption: Caption) -> None:
        self.shown.append(caption)


async def test_the_agents_words_appear_as_they_are_heard() -> None:
    screen = Screen()
    captions, reply = Captions(screen, Notebook()), Reply("item")
    reply.book.add_text("We open ")
    reply.book.add_audio(1600)
    reply.book.add_text("at nine.")
    reply.book.add_audio(1600)
    reply.book.add_sent(3200)
    reply.book.heard = 1600
    captions.reply_heard(reply, final=False)
    reply.book.heard = 3200
    captions.reply_heard(reply, final=True)
    assert screen.shown == [
        Caption("agent", "item", "We open", final=False),
        Caption("agent", "item", "We open at nine.", final=True),
    ]


async def test_the_callers_turn_is_opened_filled_and_taken_back_when_it_was_noise() -> None:
    screen = Screen()
    captions = Captions(screen, Notebook())
    captions.caller_started(500)
    captions.caller_said(CallerSaid("hello", 500, 900))
    captions.noise()
    captions.caller_started(2000)
    captions.caller_started(3000)
    captions.noise()
    assert [(shown.turn, shown.text, shown.final) for shown in screen.shown] == [
        ("caller-500", "", False),
        ("caller-500", "hello", True),
        ("caller-2000", "", False),
        ("caller-2000", "", True),
        ("caller-3000", "", False),
        ("caller-3000", "", True),
    ]


async def test_words_are_shown_while_the_caller_speaks_and_not_once_all_are_known() -> None:
    screen = Screen()
    captions = Captions(screen, Notebook())
    captions.caller_started(500)
    for words in ("when", "when do", "when do"):
        captions.caller_heard(CallerHeard(words, 500))
    captions.caller_said(CallerSaid("when do you open", 500, 900))
    captions.caller_heard(CallerHeard("when do", 500))
    assert [(shown.text, shown.final) for shown in screen.shown] == [
        ("", False),
        ("when", False),
        ("when do", False),
        ("when do you open", True),
    ]
    assert {shown.turn for shown in screen.shown} == {"caller-500"}


async def test_a_telephone_shows_nothing() -> None:
    Captions(Phone(), Notebook()).caller_started(0)
