"""Wire formats of the telephone and of the browser: G.711, PCM, and resampling with little delay."""

from __future__ import annotations

from math import gcd
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
WireFormat = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]

WIRE_RATE: dict[WireFormat, int] = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Samples per second of each format."""
WIRE_WIDTH: dict[WireFormat, int] = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}
"""Bytes per sample of each format."""

_HALF_TAPS = 24
"""Zero crossings on each side of the filter: 3 ms of delay at 8 kHz."""
_CUTOFF = 0.455
"""Middle of the filter's slope as a share of the lower rate; flat to 0.41, -70 dB from 0.5."""


def _mulaw_levels() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent = ((code >> 4) & 7).astype(np.int32)
    magnitude = (((code & 15).astype(np.int32) << 3) + 0x84 << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_levels() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    step = ((code & 15).astype(np.int32) << 4) + 8
    magnitude = np.where(exponent == 0, step, (step + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _nearest_code(levels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """For every 16-bit value (index: value + 32,768) the code of the nearest level."""
    order = np.argsort(levels, kind="stable")
    middles = (levels[order].astype(np.int32)[1:] + levels[order].astype(np.int32)[:-1]) / 2
    values = np.arange(-32_768, 32_768)
    return order[np.searchsorted(middles, values, side="right")].astype(np.uint8)


_LEVELS = {"audio/pcmu": _mulaw_levels(), "audio/pcma": _alaw_levels()}
_CODES = {name: _nearest_code(levels) for name, levels in _LEVELS.items()}


def decode(data: bytes, wire: WireFormat) -> Samples:
    """Samples in [-1, 1] at the format's own rate. PCM needs an even number of bytes."""
    if wire == "audio/pcm":
        values = np.frombuffer(data, dtype="<i2")
    else:
        values = _LEVELS[wire][np.frombuffer(data, dtype=np.uint8)]
    return values.astype(np.float32) / np.float32(32_768)


def encode(samples: Samples, wire: WireFormat) -> bytes:
    """Bytes of samples that are at the format's own rate; louder than 1 is clipped."""
    values = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int32)
    if wire == "audio/pcm":
        return values.astype("<i2").tobytes()
    return _CODES[wire][values + 32_768].tobytes()


class Resampler:
    """Streams mono audio from one rate to another through a polyphase low-pass filter.

    Every chunk comes back at once, delayed by about 3 ms at most; block-wise resamplers hold
    60 ms of a telephone line back.
    """

    def __init__(self, source: int, target: int) -> None:
        common = gcd(source, target)
        self._up, self._down = target // common, source // common
        rate = source * self._up
        lower = min(source, target)
        per_phase = -(-2 * _HALF_TAPS * source // lower)
        count = per_phase * self._up
        at = (np.arange(count) - (count - 1) / 2) * (lower / rate)
        window = np.kaiser(count, 7.0)
        taps = 2 * _CUTOFF * np.sinc(2 * _CUTOFF * at) * window * (lower / source)
        phases = taps.reshape(per_phase, self._up).T[:, ::-1]
        self._phases = (phases / phases.sum(axis=1, keepdims=True)).astype(np.float32)
        self._history = np.zeros(per_phase - 1, dtype=np.float32)
        self._next = 0
        """Position of the next output in units of 1 / (source * up), from the next input sample."""

    def feed(self, samples: Samples) -> Samples:
        """The output that the input so far decides."""
        line = np.concatenate([self._history, samples])
        ticks = np.arange(self._next, len(samples) * self._up, self._down)
        self._next = int(ticks[-1] + self._down if len(ticks) else self._next)
        self._next -= len(samples) * self._up
        self._history = line[len(samples) :]
        out = np.empty(len(ticks), dtype=np.float32)
        if len(samples):
            for phase, taps in enumerate(self._phases):
                mine = ticks % self._up == phase
                filtered = np.correlate(line, taps, mode="valid")
                out[mine] = filtered[ticks[mine] // self._up]
        return out

    def drain(self) -> Samples:
        """The tail that the filter still holds. The stream is over afterwards."""
        return self.feed(np.zeros(self._phases.shape[1] // 2, dtype=np.float32))


class WireDecoder:
    """Turns wire bytes, cut anywhere, into samples at `rate`."""

    def __init__(self, wire: WireFormat, rate: int) -> None:
        self._wire = wire
        self._resampler = Resampler(WIRE_RATE[wire], rate) if rate != WIRE_RATE[wire] else None
        self._odd = b""

    def feed(self, data: bytes) -> Samples:
        """Samples in [-1, 1] at `rate`."""
        data = self._odd + data
        whole = len(data) - len(data) % WIRE_WIDTH[self._wire]
        self._odd = data[whole:]
        samples = decode(data[:whole], self._wire)
        return samples if self._resampler is None else self._resampler.feed(samples)


class WireEncoder:
    """Turns samples at `rate` into wire bytes."""

    def __init__(self, wire: WireFormat, rate: int) -> None:
        self._wire = wire
        self._resampler = Resampler(rate, WIRE_RATE[wire]) if rate != WIRE_RATE[wire] else None

    def feed(self, samples: Samples) -> bytes:
        """Bytes for samples in [-1, 1]."""
        if self._resampler is not None:
            samples = self._resampler.feed(samples)
        return encode(samples, self._wire)

    def drain(self) -> bytes:
        """The last few bytes the resampling filter holds."""
        return b"" if self._resampler is None else encode(self._resampler.drain(), self._wire)
