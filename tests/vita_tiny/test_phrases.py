"""An answer is cut where it can be spoken, and nothing of it is lost."""

from itertools import pairwise

import pytest

from vita_model.speech.phrases import LONGEST, PhraseCutter

pytestmark = pytest.mark.unit


def cut(text: str, step: int) -> list[str]:
    cutter = PhraseCutter()
    phrases = [p for i in range(0, len(text), step) for p in cutter.push(text[i : i + step])]
    phrases += cutter.finish()
    assert [text[p.start : p.end] for p in phrases] == [p.text for p in phrases]
    assert all(a.end <= b.start for a, b in pairwise(phrases))
    return [p.text for p in phrases]


@pytest.mark.parametrize("step", [1, 3, 100])
def test_same_phrases_however_the_text_arrives(step: int) -> None:
    text = "We open at 9.30 am. On Saturdays we open later, at ten o'clock, and close at two! Bye"
    assert cut(text, step) == [
        "We open at 9.30 am.",
        " On Saturdays we open later,",
        " at ten o'clock, and close at two!",
        " Bye",
    ]


def test_a_number_is_never_cut() -> None:
    assert cut("It costs $12.50 or 1,250 points.", 1) == ["It costs $12.50 or 1,250 points."]


def test_text_without_marks_is_cut_between_words() -> None:
    text = "word " * 60
    pieces = cut(text, 4)
    assert len(pieces) > 1
    assert all(len(piece) <= LONGEST + 5 for piece in pieces)
    assert "".join(pieces).split() == text.split()


def test_nothing_said_gives_no_phrase() -> None:
    assert cut("  \n ", 1) == []
