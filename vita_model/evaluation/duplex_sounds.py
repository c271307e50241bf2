"""Sounds on a phone line that nobody has to answer: coughs, music, somebody else in the room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE = 16_000


def _band(rng: np.random.Generator, count: int, low: float, high: float) -> NDArray[np.float64]:
    """Noise between two frequencies, at unit power."""
    spectrum = rng.standard_normal(count // 2 + 1) + 1j * rng.standard_normal(count // 2 + 1)
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    spectrum *= 1 / (1 + (low / np.maximum(frequency, 1)) ** 6) / (1 + (frequency / high) ** 6)
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / (np.std(noise) + 1e-9), np.float64)


def _formants(source: NDArray[np.float64], places: tuple[float, ...]) -> NDArray[np.float64]:
    """What a mouth does to a source: a resonance at each place, in hertz."""
    spectrum = np.fft.rfft(source)
    frequency = np.fft.rfftfreq(len(source), 1 / RATE)
    gain = sum(1 / (1 + ((frequency - at) / (60 + 0.08 * at)) ** 2) for at in places)
    return np.asarray(np.fft.irfft(spectrum * (gain + 0.02), len(source)), np.float64)


def cough(rng: np.random.Generator) -> Samples:
    """One to three coughs: a burst of breath through an open mouth, then a voiced rest."""
    pieces: list[NDArray[np.float64]] = []
    for _ in range(int(rng.integers(1, 4))):
        count = int(rng.uniform(0.16, 0.34) * RATE)
        time = np.arange(count) / RATE
        burst = _band(rng, count, 300, 3_500) * np.exp(-time / rng.uniform(0.04, 0.09))
        pitch = rng.uniform(90, 240)
        glottis = np.sign(np.sin(2 * np.pi * (pitch * time - 60 * time**2))) * 0.5
        voiced = glottis * np.exp(-(((time - 0.55 * time[-1]) / (0.25 * time[-1])) ** 2))
        mouth = (rng.uniform(550, 800), rng.uniform(1_100, 1_700), rng.uniform(2_300, 2_900))
        sound = _formants(burst + rng.uniform(0.0, 0.5) * voiced, mouth)
        sound /= np.abs(sound).max() + 1e-9
        pieces += [sound, np.zeros(int(rng.uniform(0.05, 0.3) * RATE))]
    return np.concatenate(pieces).astype(np.float32)


def music(rng: np.random.Generator, seconds: float) -> Samples:
    """A tune over chords and a beat, as it comes from a radio or a queue."""
    count = int(seconds * RATE)
    out = np.zeros(count)
    beat = 60 / rng.uniform(80, 140)
    root = 110 * 2 ** (int(rng.integers(0, 12)) / 12)
    scale = (
        np.array([0, 2, 4, 5, 7, 9, 11, 12])
        if rng.random() < 0.6
        else np.array([0, 2, 3, 5, 7, 8, 10, 12])
    )
    bright = rng.uniform(1.0, 2.0)
    for bar in range(int(seconds / beat) + 1):
        start = int(bar * beat * RATE)
        if bar % 4 == 0:
            chord = rng.choice([0, 3, 4, 5])
            for step in (0, 2, 4):
                note = root * 2 ** (scale[(chord + step) % 7] / 12)
                _add(out, start, _note(note, 4 * beat, 1.5, 1.2), 0.35)
        for half in range(2):
            if rng.random() < 0.75:
                note = 4 * root * 2 ** (scale[int(rng.integers(0, 8))] / 12)
                _add(
                    out,
                    start + int(half * beat / 2 * RATE),
                    _note(note, beat / 2, bright, 0.2),
                    0.5,
                )
        length = int(0.08 * RATE)
        hit = _band(rng, length, 80 if bar % 2 else 1_500, 4_000 if not bar % 2 else 300)
        _add(out, start, hit * np.exp(-np.arange(length) / (0.015 * RATE)), 0.35)
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def _note(hertz: float, seconds: float, slope: float, decay: float) -> NDArray[np.float64]:
    time = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * hertz * n * time) / n**slope for n in range(1, 7))
    attack = np.minimum(time / 0.01, 1.0)
    return np.asarray(tone * attack * np.exp(-time / decay), np.float64)


def _add(out: NDArray[np.float64], start: int, sound: NDArray[np.float64], gain: float) -> None:
    room = max(0, min(len(sound), len(out) - start))
    out[start : start + room] += gain * sound[:room]


def across_the_room(rng: np.random.Generator, voice: Samples) -> Samples:
    """A voice some metres from the phone: its echo from the walls, and less of the high end."""
    decay = rng.uniform(0.12, 0.35)
    time = np.arange(int(2.5 * decay * RATE)) / RATE
    room = rng.standard_normal(len(time)) * np.exp(-time / decay * 3)
    room[: int(0.004 * RATE)] = 0
    room *= rng.uniform(0.7, 1.4) / (np.sqrt(np.sum(room**2)) + 1e-9)
    room[0] = 1.0
    size = len(voice) + len(room)
    spectrum = np.fft.rfft(voice, size) * np.fft.rfft(room, size)
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    spectrum /= 1 + (frequency / rng.uniform(1_800, 3_000)) ** 2
    return np.fft.irfft(spectrum, size).astype(np.float32)
