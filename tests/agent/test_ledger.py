from __future__ import annotations

import pytest

from agent.transcripts.ledger import ReplyLedger

pytestmark = pytest.mark.unit


def spoken(*pieces: str, samples: int = 8000) -> ReplyLedger:
    ledger = ReplyLedger()
    for piece in pieces:
        ledger.add_text(piece)
        ledger.add_audio(samples)
    return ledger


def test_what_was_sent_is_heard_only_when_its_mark_comes_back():
    ledger = spoken("We open ", "at nine.")
    ledger.add_sent(8000)
    ledger.add_mark("a")
    ledger.add_sent(4000)
    ledger.add_mark("b")
    assert ledger.heard_ms == 0
    assert ledger.played("a")
    assert (ledger.heard_ms, ledger.heard_text()) == (1000, "We open")
    assert ledger.played("b")
    assert ledger.heard_ms == 1500


def test_a_mark_counts_once_and_only_its_own_reply():
    ledger = spoken("Yes.")
    ledger.add_sent(8000)
    ledger.add_mark("a")
    assert not ledger.played("z")
    assert ledger.played("a")
    assert not ledger.played("a")


def test_marks_after_a_clear_say_nothing():
    ledger = spoken("Yes.")
    ledger.add_sent(8000)
    ledger.add_mark("a")
    ledger.forget_marks()
    assert not ledger.played("a")
    assert ledger.heard_text() == ""


def test_a_reply_heard_to_its_end_is_its_whole_text():
    ledger = spoken("We open ", "at nine.")
    ledger.add_text(" Bye.")
    ledger.add_sent(16000)
    ledger.add_mark("end")
    ledger.played("end")
    assert ledger.heard_fully
    assert ledger.heard_text() == "We open at nine. Bye."


def test_a_piece_heard_in_part_is_cut_between_words():
    ledger = spoken("one two three four five", samples=16000)
    ledger.add_sent(16000)
    ledger._marks["half"] = 8000
    ledger.played("half")
    assert ledger.heard_text() == "one two"


def test_text_written_in_one_breath_belongs_to_the_audio_after_it():
    ledger = ReplyLedger()
    ledger.add_text("We ")
    ledger.add_text("open ")
    ledger.add_audio(8000)
    ledger.add_text("daily.")
    ledger.add_audio(8000)
    ledger.add_sent(8000)
    ledger.add_mark("a")
    ledger.played("a")
    assert ledger.heard_text() == "We open"


def test_more_cannot_be_sent_than_was_made():
    with pytest.raises(ValueError, match="generated"):
        spoken("Yes.").add_sent(8001)
