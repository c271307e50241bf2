"""The agent speaks lower while the server weighs what the caller said."""

from __future__ import annotations

import numpy as np
import pytest

from agent.audio import TELEPHONE, WIDEBAND, AudioFormat
from agent.pipeline.volume import LONGEST_S, LOW, Volume

pytestmark = pytest.mark.unit


def _piece(audio: AudioFormat) -> bytes:
    return audio.encode(np.full(audio.rate // 50, 8_000, np.int16))


def _levels(volume: Volume, audio: AudioFormat, pieces: int) -> np.ndarray:
    played = [volume.apply(_piece(audio)) for _ in range(pieces)]
    return np.concatenate([audio.decode(payload) for payload in played]).astype(float)


@pytest.mark.parametrize("audio", [TELEPHONE, WIDEBAND], ids=["telephone", "wideband"])
def test_it_falls_and_rises_without_a_step(audio: AudioFormat) -> None:
    volume = Volume(audio)
    assert volume.apply(_piece(audio)) == _piece(audio)
    volume.want(low=True)
    falling = _levels(volume, audio, 10)
    volume.want(low=False)
    rising = _levels(volume, audio, 20)
    assert falling[-1] == pytest.approx(8_000 * LOW, rel=0.05)
    assert rising[-1] == pytest.approx(8_000, rel=0.05)
    assert np.abs(np.diff(np.concatenate([falling, rising]))).max() < 400
    assert volume.apply(_piece(audio)) == _piece(audio)


def test_a_server_that_forgets_does_not_leave_it_low() -> None:
    volume = Volume(TELEPHONE)
    volume.want(low=True)
    levels = _levels(volume, TELEPHONE, int(LONGEST_S * 50) + 20)
    assert levels[len(levels) // 2] < 4_000
    assert levels[-1] == pytest.approx(8_000, rel=0.05)


def test_after_an_interruption_the_next_words_are_loud_at_once() -> None:
    volume = Volume(TELEPHONE)
    volume.want(low=True)
    _levels(volume, TELEPHONE, 10)
    volume.reset()
    assert volume.apply(_piece(TELEPHONE)) == _piece(TELEPHONE)
