"""An answer is cut where it can be spoken, and nothing of it is lost."""

from itertools import pairwise

import pytest

from vita_model.speech.phrases import LONGEST, PhraseCutter, letters

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


@pytest.mark.parametrize("step", [1, 2, 100])
def test_chinese_is_cut_at_its_own_marks(step: int) -> None:
    text = "我们九点开门。周六我们开得晚一些，十点钟开，两点关门！好的, 3.5元；Hi!再见"
    assert cut(text, step) == [
        "我们九点开门。",
        "周六我们开得晚一些，",
        "十点钟开，两点关门！",
        "好的, 3.5元；",
        "Hi!",
        "再见",
    ]


def test_a_chinese_mark_waits_for_nothing() -> None:
    assert [phrase.text for phrase in PhraseCutter().push("好。")] == ["好。"]


def test_chinese_without_marks_is_cut_too() -> None:
    pieces = cut("字" * 100, 4)
    assert max(map(letters, pieces)) <= LONGEST + 4 * 3
    assert "".join(pieces) == "字" * 100


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


def early(text: str) -> str | None:
    cutter = PhraseCutter()
    cutter.push(text)
    phrase = cutter.early()
    return None if phrase is None else phrase.text


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("We are open", None),
        ("We are open until f", "We are open until"),
        ("Monday 9 am to 5:", "Monday 9 am to"),
        ("That is $1,250.50 in a", "That is $1,250.50 in"),
        ("The number is 020 ", None),
        ("The number is 020 769 and", None),
        ("We are at 14 Mill ", "We are at 14 Mill"),
        ("Ask for Dr. Moore at ", None),
    ],
)
def test_a_phrase_is_begun_when_its_first_words_are_certain(text: str, begun: str | None) -> None:
    assert early(text) == begun
