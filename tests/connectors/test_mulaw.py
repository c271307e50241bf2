from __future__ import annotations

import numpy as np
import pytest

from agent import mulaw

pytestmark = pytest.mark.unit


def test_known_codes_decode_as_g711_says() -> None:
    assert mulaw.decode(bytes([0xFF, 0x7F, 0x00, 0x80, 0xF0])).tolist() == [
        0,
        0,
        -32124,
        32124,
        120,
    ]


def test_every_code_survives_a_round_trip_but_negative_zero() -> None:
    codes = bytes(range(256))
    back = mulaw.encode(mulaw.decode(codes))
    assert [c for c in range(256) if back[c] != c] == [0x7F]


def test_error_stays_within_half_a_step_of_each_segment() -> None:
    pcm = np.arange(-32000, 32001, 7).astype(np.int16)
    error = np.abs(mulaw.decode(mulaw.encode(pcm)).astype(int) - pcm)
    assert (error <= np.maximum(4, np.abs(pcm.astype(int)) / 16 + 4)).all()


def test_extremes_do_not_wrap() -> None:
    edges = np.array([-32768, 32767], dtype=np.int16)
    assert mulaw.decode(mulaw.encode(edges)).tolist() == [-32124, 32124]


def test_other_sample_types_are_refused() -> None:
    with pytest.raises(TypeError, match="16-bit"):
        mulaw.encode(np.zeros(3, dtype=np.float32))


def test_strided_input_is_encoded_in_order() -> None:
    pcm = np.arange(0, 8000, dtype=np.int16)
    assert mulaw.encode(pcm[::2]) == mulaw.encode(pcm[::2].copy())
