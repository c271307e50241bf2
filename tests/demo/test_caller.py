"""What the demonstration's caller takes for an answer."""

from __future__ import annotations

import numpy as np
import pytest

from agent.audio import TELEPHONE
from agent.demo.caller import _answer
from agent.pipeline.clips import HOLD
from connectors.twilio.twin.audio import tone

pytestmark = pytest.mark.unit


def test_being_asked_for_a_moment_is_no_answer() -> None:
    hold, quiet = TELEPHONE.decode(HOLD.payload(TELEPHONE)), np.zeros(1640, np.int16)
    asked = np.concatenate([quiet, hold, quiet])
    assert not _answer(asked, 0).any()
    answered = np.concatenate([asked, tone(300)])
    assert int(_answer(answered, 0).sum()) == pytest.approx(15, abs=1)
