"""What is asked about camera pictures."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from vita_model.evaluation.suites.pictures import PictureSuite
from vita_model.training.pictures import Shown, draw_several

pytestmark = pytest.mark.unit


def blobs(mask: np.ndarray) -> int:
    """How many patches of more than a few pixels hang together."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = 0
    while left:
        edge, size = [left.pop()], 0
        while edge:
            y, x = edge.pop()
            size += 1
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in left:
                    left.remove(near)
                    edge.append(near)
        found += size > 20
    return found


@pytest.mark.parametrize("count", [1, 3, 5])
def test_as_many_things_are_drawn_as_are_told(count):
    picture = draw_several(random.Random(count), Shown("red", "star"), count)
    small = np.asarray(picture.resize((160, 120), Image.Resampling.BOX)).astype(int)
    red = (small[..., 0] > small[..., 1] + 50) & (small[..., 0] > small[..., 2] + 50)
    assert blobs(red) == count


def test_every_kind_comes_in_turn_and_counting_has_two_spellings():
    items = PictureSuite(1).items(None)
    assert [item.kind for item in items[:4]] == ["colour", "shape", "digit", "count"]
    counted = [item for item in items if item.kind == "count"]
    assert {item.number for item in counted} == {1, 2, 3, 4, 5}
    assert counted[0].wanted == ("4", "four")
    assert not any(item.shown.thing.isdigit() for item in counted)
