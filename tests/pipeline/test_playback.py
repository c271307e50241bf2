"""What was heard follows the marks, and real time between them."""

from __future__ import annotations

import pytest

from agent.pipeline.pacer import Chunk, Mark
from agent.pipeline.playback import Playback

pytestmark = pytest.mark.unit


def playing(samples: int, text: str = "") -> Playback:
    """A playback whose reply `a` left at 1.0 s, with a mark every 1,600 samples."""
    playback = Playback()
    book = playback.reply("a").book
    book.add_text(text)
    book.add_audio(samples)
    for start in range(0, samples, 1600):
        playback.sent(Chunk("a", b"", min(1600, samples - start), 1.0 + start / 8000))
        playback.mark_sent(Mark("a", f"a{start}"))
    return playback


def test_only_the_first_piece_is_told_as_the_first() -> None:
    playback = Playback()
    playback.reply("a").book.add_audio(320)
    assert playback.sent(Chunk("a", b"", 160, 1.0))
    assert not playback.sent(Chunk("a", b"", 160, 1.02))


def test_a_reply_is_over_when_it_is_complete_and_its_last_mark_came_back() -> None:
    playback = playing(3200)
    assert playback.complete("a") == []
    assert playback.played("a0", 1.2) == []
    assert not playback.quiet
    assert [reply.item_id for reply in playback.played("a1600", 1.4)] == ["a"]
    assert playback.quiet


def test_a_reply_without_sound_is_over_at_once() -> None:
    playback = Playback()
    playback.reply("a")
    assert [reply.item_id for reply in playback.complete("a")] == ["a"]


@pytest.mark.parametrize(
    ("mark", "at", "heard"),
    [
        (None, 1.1, 800),
        (None, 1.9, 1599),
        ("a0", 1.3, 1600 + 400),
        ("a0", 9.0, 1600 + 1599),
        ("a0", 1.25, 1600),
    ],
)
def test_a_cut_counts_on_from_the_last_mark_but_never_past_the_next(
    mark: str | None, at: float, heard: int
) -> None:
    playback = playing(8000)
    if mark:
        playback.played(mark, 1.25)
    (reply,) = playback.cut(at)
    assert reply.book.heard == pytest.approx(heard, abs=1)


def test_marks_that_a_clear_gives_back_are_not_hearing() -> None:
    playback = playing(8000, "one two three four five six seven eight nine ten")
    (reply,) = playback.cut(1.1)
    playback.played("a0", 1.11)
    playback.played("a6400", 1.11)
    assert reply.book.heard == pytest.approx(800, abs=1)
    assert reply.book.heard_text() == "one"


def test_what_was_not_sent_was_not_heard() -> None:
    playback = Playback()
    playback.reply("a").book.add_audio(8000)
    playback.sent(Chunk("a", b"", 480, 1.0))
    (reply,) = playback.cut(5.0)
    assert reply.book.heard == 480
