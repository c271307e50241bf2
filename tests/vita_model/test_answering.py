"""An answer is read and spoken while it is written, and ends when nobody wants it."""

from __future__ import annotations

import pytest

from vita_model.answering import answering

pytestmark = pytest.mark.unit


def test_pieces_make_up_the_answer(model, processor):
    written = []
    inputs, options = processor("Hello?"), {"max_new_tokens": 8, "min_new_tokens": 8}
    with answering(model, processor, inputs, write=written.append, **options) as live:
        pieces = list(live)
    ids = model.generate(**inputs, **options)[0]
    marker, text = processor.decode(ids)
    assert live.ids == ids.tolist()
    assert (live.marker, live.text) == (marker, text)
    assert pieces == written
    assert text.startswith("".join(pieces))


def test_who_leaves_early_ends_the_generation(model, processor):
    with answering(
        model, processor, processor("Hello?"), min_new_tokens=500, max_new_tokens=500
    ) as live:
        next(iter(live))
    assert len(live.ids) < 500


def test_what_went_wrong_is_raised_and_nobody_waits(model, processor):
    with (
        pytest.raises(ValueError, match="max_new_tokens"),
        answering(model, processor, processor("Hello?"), max_new_tokens=-1) as live,
    ):
        assert list(live) == []
