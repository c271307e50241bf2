"""The pacer keeps the far side 160 ms ahead, whatever happens to this process."""

from __future__ import annotations

import pytest

from agent.audio import WIDEBAND
from agent.pipeline.pacer import Chunk, Mark, Pacer

pytestmark = pytest.mark.unit


def drain(pacer: Pacer, now: float) -> list[Chunk | Mark]:
    sent = []
    while (thing := pacer.next(now)) is not None:
        sent.append(thing)
    return sent


def chunks(things: list[Chunk | Mark]) -> list[Chunk]:
    return [thing for thing in things if isinstance(thing, Chunk)]


def marks(things: list[Chunk | Mark]) -> list[Mark]:
    return [thing for thing in things if isinstance(thing, Mark)]


def test_the_lead_goes_out_at_once_and_then_one_piece_every_20_ms() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(8000))
    first = drain(pacer, 10.0)
    assert [len(chunk.payload) for chunk in chunks(first)] == [160] * 8
    assert pacer.wait_s(10.0) == pytest.approx(0.02)
    assert drain(pacer, 10.019) == []
    for step in range(1, 6):
        assert len(chunks(drain(pacer, 10.0 + 0.02 * step))) == 1


def test_pieces_play_back_to_back() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(4000))
    sent = chunks(drain(pacer, 5.0)) + chunks(drain(pacer, 5.1))
    assert [chunk.plays_at for chunk in sent] == pytest.approx(
        [5.0 + 0.02 * n for n in range(len(sent))]
    )


def test_a_stall_shorter_than_the_lead_is_made_up_without_a_gap() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(16000))
    drain(pacer, 0.0)
    caught_up = chunks(drain(pacer, 0.12))
    assert len(caught_up) == 6
    assert caught_up[0].plays_at == pytest.approx(0.16)


def test_a_longer_stall_builds_the_lead_anew_and_adds_no_delay() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(40000))
    drain(pacer, 0.0)
    after = chunks(drain(pacer, 1.0))
    assert len(after) == 8
    assert after[0].plays_at == pytest.approx(1.0)
    assert len(chunks(drain(pacer, 1.02))) == 1


def test_marks_every_200_ms_and_one_at_the_end_after_its_last_piece() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(2 * 1600 + 100))
    pacer.end("a")
    sent: list[Chunk | Mark] = []
    for step in range(60):
        sent += drain(pacer, step * 0.02)
    positions, names, total = [], set(), 0
    for thing in sent:
        if isinstance(thing, Chunk):
            total += len(thing.payload)
        else:
            positions.append(total)
            names.add(thing.name)
    assert positions == [1600, 3200, 3300]
    assert len(names) == 3
    assert total == 3300
    assert isinstance(sent[-1], Mark)
    assert pacer.wait_s(2.0) is None


def test_an_end_that_comes_after_the_last_piece_still_gets_its_mark() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(320))
    assert marks(drain(pacer, 0.0)) == []
    pacer.end("a")
    assert pacer.wait_s(0.0) == 0.0
    assert [mark.item_id for mark in marks(drain(pacer, 0.0))] == ["a"]


def test_half_a_piece_waits_for_more_or_for_the_end() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(200))
    assert len(chunks(drain(pacer, 0.0))) == 1
    assert pacer.wait_s(0.0) is None
    pacer.add("a", bytes(120))
    assert len(chunks(drain(pacer, 0.0))) == 1


def test_the_next_reply_follows_without_a_new_lead() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(1280))
    pacer.end("a")
    drain(pacer, 0.0)
    pacer.add("b", bytes(1280))
    assert chunks(drain(pacer, 0.0)) == []
    assert len(chunks(drain(pacer, 0.08))) == 4


def test_clear_drops_everything_and_the_next_reply_starts_at_once() -> None:
    pacer = Pacer()
    pacer.add("a", bytes(16000))
    drain(pacer, 0.0)
    pacer.clear(0.05)
    assert pacer.wait_s(0.05) is None
    pacer.add("b", bytes(8000))
    sent = chunks(drain(pacer, 0.06))
    assert [chunk.item_id for chunk in sent] == ["b"] * 8
    assert sent[0].plays_at == pytest.approx(0.06)


def test_a_wideband_leg_gets_the_same_lead_in_its_own_bytes() -> None:
    pacer = Pacer(WIDEBAND)
    pacer.add("a", bytes(2 * 24000))
    pacer.end("a")
    first = drain(pacer, 3.0)
    assert [(len(chunk.payload), chunk.samples) for chunk in chunks(first)] == [(960, 480)] * 8
    rest = [thing for step in range(1, 51) for thing in drain(pacer, 3.0 + 0.02 * step)]
    assert [mark.name for mark in marks(first + rest)] == [f"1:{4800 * n}" for n in range(1, 6)]
