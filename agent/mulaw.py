"""G.711 µ-law, the coding of the telephone network: one byte a sample, 8,000 samples a second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8000
"""Samples per second."""

SILENCE = b"\xff"
"""The byte that stands for zero."""

_BIAS = 0x84
_CLIP = 0x7FFF - _BIAS


def _decoding_table() -> NDArray[np.int16]:
    """Linear value of each of the 256 codes."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent = ((code >> 4) & 0x07).astype(np.int32)
    mantissa = (code & 0x0F).astype(np.int32)
    magnitude = (((mantissa << 3) + _BIAS) << exponent) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _encoding_table() -> NDArray[np.uint8]:
    """Code of each 16-bit sample, indexed by the sample seen as unsigned."""
    sample = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    code: NDArray[np.int32] = sign | (exponent << 4) | mantissa
    return (code ^ 0xFF).astype(np.uint8)


_DECODE = _decoding_table()
_ENCODE = _encoding_table()


def decode(payload: bytes) -> NDArray[np.int16]:
    """Turn n µ-law bytes into n linear 16-bit samples."""
    return _DECODE[np.frombuffer(payload, dtype=np.uint8)]


def encode(pcm: NDArray[np.int16]) -> bytes:
    """Turn n linear 16-bit samples into n µ-law bytes."""
    if pcm.dtype != np.int16:
        raise TypeError(f"µ-law encodes 16-bit samples, not {pcm.dtype}: convert them first")
    return _ENCODE[pcm.view(np.uint16)].tobytes()


def silence(samples: int) -> bytes:
    """`samples` bytes of silence."""
    return SILENCE * samples
