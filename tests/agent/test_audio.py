"""Formats of a media leg."""

from __future__ import annotations

import numpy as np
import pytest

from agent.audio import TELEPHONE, WIDEBAND, AudioFormat

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("audio", "payload"), [(TELEPHONE, 160), (WIDEBAND, 960)])
def test_twenty_milliseconds(audio: AudioFormat, payload: int) -> None:
    silence = audio.silence(audio.rate // 50)
    assert len(silence) == payload
    assert audio.ms(silence) == 20
    assert audio.decode(silence).tolist() == [0] * (audio.rate // 50)


def test_linear_samples_are_little_endian_and_whole() -> None:
    assert WIDEBAND.decode(b"\x01\x00\xff\xff\x07").tolist() == [1, -1]
    assert WIDEBAND.decode(b"").dtype == np.int16
