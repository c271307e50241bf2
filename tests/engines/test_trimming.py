"""What long conversations leave out, turn by turn."""

from __future__ import annotations

import pytest

from vita_model.engine.trimming import Cut, TurnSize, cut, never_full

pytestmark = pytest.mark.unit

ASKED, SAID = TurnSize(30, 30, opens=True), TurnSize(20, 20, opens=False)
CLOSED = TurnSize(20, 20, opens=False, closes=True)
SHOWN = TurnSize(130, 30, opens=True)


def length(sizes: list[TurnSize], found: Cut) -> int:
    words = sum(size.words for size in sizes[found.first : max(found.first, found.whole)])
    return words + sum(size.rows for size in sizes[max(found.first, found.whole) :])


def grown(turns: list[TurnSize], room: int) -> list[Cut]:
    return [cut(turns[:end], room) for end in range(1, len(turns) + 1)]


def test_what_fits_is_kept_whole() -> None:
    assert cut([], 100) == Cut()
    assert cut([SHOWN, SAID, ASKED], 180) == Cut()


@pytest.mark.parametrize("turn", [(ASKED, SAID), (ASKED, CLOSED), (SHOWN, CLOSED)])
def test_nothing_is_cut_of_what_was_never_full(turn: tuple[TurnSize, ...]) -> None:
    full = [never_full(sum(size.rows for size in turn) * n, 1_000) for n in range(60)]
    assert full[0]
    assert not full[-1]
    for exchanges in range(full.index(False)):
        assert cut([*turn] * exchanges, 1_000) == Cut()


def test_cuts_are_rare_and_leave_room() -> None:
    turns = [ASKED, SAID] * 500
    cuts = grown(turns, 1_000)
    firsts = [found.first for found in cuts]
    assert firsts == sorted(firsts)
    assert 70 <= len(set(firsts)) <= 90
    for before, found, end in zip(cuts, cuts[1:], range(2, len(turns) + 1), strict=False):
        assert length(turns[:end], found) <= 1_000
        if found != before:
            assert length(turns[:end], found) <= 750


def test_what_is_kept_begins_with_the_caller() -> None:
    turns = [ASKED, SAID, SAID, SAID] * 50
    assert {turns[found.first].opens for found in grown(turns, 400)} == {True}


def test_the_oldest_pictures_go_before_any_words() -> None:
    turns = [SHOWN, SAID] * 10
    cuts = grown(turns, 800)
    assert cuts[8] == Cut()
    assert cuts[9] == Cut()
    assert cuts[10] == Cut(first=0, whole=5)
    assert length(turns[:11], cuts[10]) == 580
    assert all(found.first == 0 for found in cuts)
    assert all(found.whole < end for end, found in enumerate(cuts, 1))


def test_the_last_turn_stays_whole_whatever_it_takes() -> None:
    huge = TurnSize(5_000, 20, opens=True)
    assert cut([huge], 100) == Cut()
    assert cut([ASKED, SAID, huge], 100) == Cut(first=2, whole=2)


def test_an_exchange_that_takes_all_room_loses_its_beginning() -> None:
    output = TurnSize(60, 60, opens=False)
    assert cut([ASKED, SAID, ASKED, SAID, output], 100) == Cut(first=3, whole=4)


def test_words_that_take_more_than_their_sound_are_counted() -> None:
    terse = TurnSize(10, 40, opens=True)
    turns = [terse, SAID] * 20
    for end, found in enumerate(grown(turns, 200), 1):
        assert length(turns[:end], found) <= 200


def test_a_cut_is_known_with_the_answer_before_it() -> None:
    turns: list[TurnSize] = []
    found = set()
    for _ in range(200):
        turns += [ASKED, CLOSED]
        known = cut(turns, 1_000)
        found.add(known)
        assert cut([*turns, ASKED], 1_000) == known
        assert cut([*turns, SAID, ASKED], 1_000) == known
        assert length(turns, known) <= 1_000
    assert len(found) > 10


@pytest.mark.parametrize("kept", [1, 5, 19])
def test_an_answer_that_is_shortened_afterwards_does_not_move_its_cut(kept: int) -> None:
    shorter = TurnSize(kept, kept, opens=False, closes=True)
    for exchanges in range(1, 200):
        turns = [ASKED, CLOSED] * exchanges
        assert cut([*turns[:-1], shorter, ASKED], 1_000) == cut(turns, 1_000)


def test_the_exchange_just_over_is_kept_whole() -> None:
    large = TurnSize(660, 30, opens=True)
    turns = [ASKED, CLOSED] * 6 + [large, CLOSED]
    assert cut(turns[:-1], 1_000) == Cut()
    assert cut(turns, 1_000) == Cut(first=10, whole=12)


def test_a_turn_that_is_larger_than_the_reserve_is_cut_for_when_it_comes() -> None:
    turns = [ASKED, CLOSED] * 17
    assert cut(turns, 1_000) == Cut()
    assert cut([*turns, TurnSize(200, 200, opens=True)], 1_000).first > 0
