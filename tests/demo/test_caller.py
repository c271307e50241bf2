"""What the demonstration's caller takes for an answer."""

from __future__ import annotations

import numpy as np
import pytest

from agent.audio import TELEPHONE
from agent.demo.caller import Manners, _answer, _is_over
from agent.pipeline.clips import HOLD
from connectors.twilio.twin.audio import tone

pytestmark = pytest.mark.unit


def test_being_asked_for_a_moment_is_no_answer() -> None:
    hold, quiet = TELEPHONE.decode(HOLD.payload(TELEPHONE)), np.zeros(1640, np.int16)
    asked = np.concatenate([quiet, hold, quiet])
    assert not _answer(asked, 0).any()
    answered = np.concatenate([asked, tone(300)])
    assert int(_answer(answered, 0).sum()) == pytest.approx(15, abs=1)


def test_a_moment_that_was_taken_for_an_answer_at_first_is_waited_out() -> None:
    hold, manners = TELEPHONE.decode(HOLD.payload(TELEPHONE)), Manners(silence_ms=500)
    begun = _answer(hold[:600], 0)
    assert begun.any()  # too little to know the words by
    asked = np.concatenate([hold, np.zeros(8000, np.int16)])
    asked = np.concatenate([asked, asked])  # and once more
    heard_ms = len(asked) // 8
    assert not _is_over(_answer(asked, 0), heard_ms, manners)
    answered = np.concatenate([asked, tone(300), np.zeros(4000, np.int16)])
    assert _is_over(_answer(answered, 0), heard_ms + 820, manners)
    assert not _is_over(_answer(answered, 0), heard_ms + 700, manners)
