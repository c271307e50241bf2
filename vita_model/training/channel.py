"""What happens to a voice between a mouth and our ear: rooms, noise, the telephone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vita_model.audio import telephone as wire

Samples = NDArray[np.float32]
RATE = 16_000


def level(samples: Samples, decibels: float) -> Samples:
    """Scale to a root mean square of `decibels` below full scale."""
    power = float(np.sqrt(np.mean(np.square(samples)) + 1e-9))
    scaled: Samples = (samples * (10 ** (decibels / 20) / power)).astype(np.float32)
    return scaled


def trimmed(samples: Samples) -> Samples:
    """Without the silence before and after."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def coloured_noise(rng: np.random.Generator, count: int, slope: float) -> Samples:
    """Noise whose power falls by `slope` times the logarithm of frequency (0 white, 2 brown)."""
    spectrum = rng.standard_normal(count // 2 + 1) + 1j * rng.standard_normal(count // 2 + 1)
    frequency = np.maximum(np.arange(count // 2 + 1), 8)
    return level(np.fft.irfft(spectrum * frequency ** (-slope / 2), count).astype(np.float32), 0)


def add_noise(rng: np.random.Generator, samples: Samples, decibels: float) -> Samples:
    """Mix coloured noise at a signal-to-noise ratio."""
    noise = coloured_noise(rng, len(samples), float(rng.uniform(0, 2)))
    power = float(np.sqrt(np.mean(np.square(samples)) + 1e-9))
    mixed: Samples = samples + noise * np.float32(power * 10 ** (-decibels / 20))
    return mixed


def telephone(samples: Samples) -> Samples:
    """16 kHz through an 8 kHz µ-law line with the usual 200 to 3,450 Hz band."""
    narrow = soxr.resample(samples, RATE, 8_000).astype(np.float32)
    spectrum = np.fft.rfft(narrow)
    frequency = np.fft.rfftfreq(len(narrow), 1 / 8_000)
    gain = 1 / (1 + np.exp(-(frequency - 200) / 25)) / (1 + np.exp((frequency - 3_450) / 60))
    band = np.clip(np.fft.irfft(spectrum * gain, len(narrow)), -1, 1).astype(np.float32)
    coded = wire.decode(wire.encode(band, "audio/pcmu"), "audio/pcmu")
    wide: Samples = soxr.resample(coded, 8_000, RATE).astype(np.float32)
    return wide


def random_line(rng: np.random.Generator, samples: Samples) -> Samples:
    """A random caller's channel: pace, level, noise, telephone on four of five."""
    pace = float(rng.uniform(0.88, 1.14))
    samples = soxr.resample(samples, RATE, RATE * pace).astype(np.float32)
    samples = level(samples, float(rng.uniform(-34, -16)))
    ahead, behind = (int(rng.uniform(0.05, 0.4) * RATE) for _ in range(2))
    samples = np.pad(samples, (ahead, behind))
    if rng.random() < 0.6:
        samples = add_noise(rng, samples, float(rng.uniform(8, 35)))
    samples = np.clip(samples, -1, 1)
    return telephone(samples) if rng.random() < 0.85 else samples


def crowd(rng: np.random.Generator, voices: Sequence[Samples], count: int) -> Samples:
    """Babble: four to seven of the given voices at once, wrapped to `count` samples."""
    chosen = [voices[int(rng.integers(len(voices)))] for _ in range(int(rng.integers(4, 8)))]
    mixed = sum(np.resize(np.roll(level(v, 0), int(rng.integers(len(v)))), count) for v in chosen)
    return level(np.asarray(mixed, np.float32), 0)


def music(rng: np.random.Generator, count: int) -> Samples:
    """Chords of a few harmonics that change twice a second or so."""
    time = np.arange(count) / RATE
    out = np.zeros(count)
    beat = int(RATE * rng.uniform(0.25, 0.7))
    for start in range(0, count, beat):
        part = time[start : start + beat]
        for note in rng.integers(0, 30, 3):
            tone = 130 * 2 ** (note / 12)
            out[start : start + beat] += sum(
                np.sin(2 * np.pi * tone * n * part) / n**1.3 for n in range(1, 5)
            ) * np.exp(-2 * (part - part[0]))
    return level(out.astype(np.float32), 0)


def street(rng: np.random.Generator, count: int) -> Samples:
    """Traffic: brown noise that swells as cars go by."""
    time = np.arange(count) / RATE
    swell = 0.3 + np.abs(np.sin(2 * np.pi * rng.uniform(0.05, 0.4) * time + rng.uniform(0, 6)))
    noise = coloured_noise(rng, count, float(rng.uniform(1.2, 2.2)))
    return level((noise * swell).astype(np.float32), 0)


def mix(samples: Samples, noise: Samples, decibels: float) -> Samples:
    """Add noise of unit power at a signal-to-noise ratio."""
    power = float(np.sqrt(np.mean(np.square(samples)) + 1e-9))
    mixed: Samples = (samples + noise * np.float32(power * 10 ** (-decibels / 20))).astype(
        np.float32
    )
    return mixed


def lossy(rng: np.random.Generator, samples: Samples, share: float) -> Samples:
    """Packets of 20 ms that are lost with a probability: the last one repeated, or nothing."""
    size, out = RATE // 50, samples.copy()
    for start in range(size, len(out) - size, size):
        if rng.random() < share:
            kept = out[start - size : start] * np.float32(0.6)
            out[start : start + size] = kept if rng.random() < 0.6 else 0
    return out


def hard_line(
    rng: np.random.Generator, samples: Samples, others: Sequence[Samples] = ()
) -> Samples:
    """A caller's channel for training: pace, level, noise of five kinds, clipping, lost packets.

    `others` are voices for the babble.
    """
    pace = float(rng.uniform(0.88, 1.14))
    samples = soxr.resample(samples, RATE, RATE * pace).astype(np.float32)
    ahead, behind = (int(rng.uniform(0.02, 0.5) * RATE) for _ in range(2))
    samples = np.pad(level(samples, float(rng.uniform(-34, -14))), (ahead, behind))
    roll, count = rng.random(), len(samples)
    if roll < 0.3:
        samples = add_noise(rng, samples, float(rng.uniform(6, 35)))
    elif roll < 0.55 and len(others):
        samples = mix(samples, crowd(rng, others, count), float(rng.uniform(8, 26)))
    elif roll < 0.65:
        samples = mix(samples, music(rng, count), float(rng.uniform(6, 25)))
    elif roll < 0.75:
        samples = mix(samples, street(rng, count), float(rng.uniform(3, 22)))
    if rng.random() < 0.08:
        samples = samples * np.float32(rng.uniform(2, 8))
    if rng.random() < 0.08:
        samples = lossy(rng, samples, float(rng.uniform(0.01, 0.05)))
    samples = np.clip(samples, -1, 1)
    return telephone(samples) if rng.random() < 0.85 else samples


def not_speech(rng: np.random.Generator, voices: Sequence[Samples] = ()) -> Samples:
    """One to four seconds without a caller: hiss, hum, clicks, tones, music, traffic, silence.

    With enough `voices` also the babble of a crowd.
    """
    count = int(rng.uniform(0.6, 3.5) * RATE)
    if len(voices) >= 6 and rng.random() < 0.4:
        pick = rng.integers(0, 3)
        background = (
            crowd(rng, voices, count) if pick == 0 else (music, street)[pick - 1](rng, count)
        )
        return telephone(np.clip(level(background, float(rng.uniform(-50, -20))), -1, 1))
    time = np.arange(count) / RATE
    kind = rng.integers(0, 7)
    samples: NDArray[np.floating[Any]]
    if kind == 0:
        samples = coloured_noise(rng, count, float(rng.uniform(0, 2.2)))
    elif kind == 1:
        base = rng.choice([50.0, 60.0, 100.0])
        samples = np.sum([np.sin(2 * np.pi * base * n * time) / n for n in range(1, 8)], axis=0)
    elif kind == 2:
        samples = np.zeros(count)
        for place in rng.integers(0, count - 400, int(rng.integers(2, 14))):
            samples[place : place + 400] += rng.standard_normal(400) * np.exp(-np.arange(400) / 60)
    elif kind == 3:
        low, high = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477])
        gate = (time * rng.uniform(1, 4)) % 1 < 0.5
        samples = (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)) * gate
    elif kind == 4:
        samples = np.zeros(count)
        for _ in range(int(rng.integers(2, 5))):
            note = 220 * 2 ** (rng.integers(0, 24) / 12)
            swell = np.abs(np.sin(2 * np.pi * rng.uniform(0.3, 2) * time))
            samples += (
                sum(np.sin(2 * np.pi * note * n * time) / n**1.5 for n in range(1, 6)) * swell
            )
    elif kind == 5:
        shape = coloured_noise(rng, count, 1.5)
        samples = shape * np.abs(np.sin(2 * np.pi * rng.uniform(0.2, 1.2) * time)) ** 3
    else:
        samples = rng.standard_normal(count) * 1e-3
    samples = level(np.asarray(samples, np.float32), float(rng.uniform(-55, -20)))
    return telephone(np.clip(samples, -1, 1))
