"""Holding the process to some cores."""

from __future__ import annotations

import os
import threading

import pytest

from vita_model.evaluation.cores import available, on
from vita_model.evaluation.suites.latency import LatencySuite

pytestmark = pytest.mark.integration
takes_two = pytest.mark.skipif(available() < 2, reason="takes Linux and two cores")


@takes_two
def test_all_threads_are_held_and_let_go():
    seen: list[set[int]] = []
    go, looked = threading.Event(), threading.Event()

    def look() -> None:
        go.wait(30)
        seen.append(os.sched_getaffinity(0))
        looked.set()

    other = threading.Thread(target=look, daemon=True)
    other.start()
    before = os.sched_getaffinity(0)
    with on(1):
        go.set()
        assert looked.wait(30)
        assert len(os.sched_getaffinity(0)) == len(seen[0]) == 1
    assert os.sched_getaffinity(0) == before


@takes_two
def test_the_same_turns_are_timed_on_one_core_and_on_two():
    items = LatencySuite(1).items(4)
    assert [item.group for item in items] == ["one core", "two cores"] * 2
    assert items[0].task == items[1].task
    assert len({item.key for item in items}) == 4


@takes_two
def test_more_cores_than_there_are_is_refused():
    with pytest.raises(ValueError, match="cores were asked for"), on(available() + 1):
        pass
