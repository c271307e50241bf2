"""Figures, their intervals and their bars."""

import pytest

from vita_model.evaluation.figures import Measure, Row, figures

pytestmark = pytest.mark.unit


def rows(*points: float, of: float = 1.0, group: str = "clean") -> list[Row]:
    return [Row(str(n), group, {"right": (p, of)}) for n, p in enumerate(points)]


def test_a_share_has_an_interval_around_it_and_meets_its_bar():
    (found,) = figures(rows(*[1] * 90, *[0] * 10), [Measure("right", bars={"clean": 80})])
    assert found.value == 90
    assert 80 < found.low < 86
    assert 94 < found.high < 98
    assert found.met
    assert found.sure


def test_a_bar_inside_the_interval_is_uncertain():
    (found,) = figures(rows(*[1] * 8, *[0] * 2), [Measure("right", bars={"": 90})])
    assert found.met is False
    assert not found.sure


def test_items_that_all_came_out_alike_still_have_an_interval():
    (found,) = figures(rows(*[1] * 20), [Measure("right")])
    assert (found.value, found.high) == (100, 100)
    assert 80 < found.low < 90


def test_items_of_one_cluster_count_as_one():
    apart = rows(*[1, 0] * 20)
    together = [Row(r.key, r.group, r.counts, cluster=str(n // 8)) for n, r in enumerate(apart)]
    alike = [
        Row(str(n), "clean", {"right": (n // 8 % 2, 1)}, cluster=str(n // 8)) for n in range(40)
    ]
    width = [
        f.high - f.low
        for found in (apart, together, alike)
        for f in figures(found, [Measure("right")])
    ]
    assert width[1] < width[0] < width[2]


def test_what_another_measure_makes_is_taken_off():
    found = figures(
        [Row(str(n), "", {"own": (3, 10), "judge": (1, 10)}) for n in range(5)],
        [Measure("own", sense="at most", bars={"": 8}, minus="judge")],
    )
    assert found[0].value == pytest.approx(20)
    assert found[0].met is False


def test_a_median_is_not_moved_by_one_slow_item():
    (found,) = figures(
        rows(300, 310, 320, 330, 9_000), [Measure("right", "ms", "at most", how="median")]
    )
    assert found.value == 320


def test_groups_stay_apart_and_others_have_no_bar():
    found = figures(
        [*rows(1, group="clean"), *rows(0, group="babble")], [Measure("right", bars={"clean": 90})]
    )
    assert [(f.group, f.value, f.met) for f in found] == [("clean", 100, True), ("babble", 0, None)]
