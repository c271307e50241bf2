"""Sound for the twin: files made fit for a phone, and tones where Twilio would have a voice."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from agent import mulaw
from agent.errors import BadAudioError

Pcm = NDArray[np.int16]

FRAME_MS = 20
FRAME_BYTES = mulaw.SAMPLE_RATE * FRAME_MS // 1000
SILENT_FRAME = mulaw.silence(FRAME_BYTES)

VOICE_RMS = 200.0
"""A frame as loud as this, of 32,767, counts as voice (-44 dBFS)."""

_MS_PER_CHARACTER = 65
_TONE_HZ = 220
_TONE_PEAK = 4000


def load_audio(source: Path | bytes, name: str = "the audio") -> Pcm:
    """Read any file libsndfile knows, at any rate, as 8 kHz mono.

    Args:
        source: A file, or the content of one.
        name: What to call it in an error when `source` is bytes.

    Raises:
        BadAudioError: Not there, not audio, or empty.
    """
    name = str(source) if isinstance(source, Path) else name
    try:
        opened = source if isinstance(source, Path) else BytesIO(source)
        samples, rate = soundfile.read(opened, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise BadAudioError(f"cannot read {name}: give a WAV, FLAC or OGG file") from error
    mono: NDArray[np.float32] = samples.mean(axis=1)
    if rate != mulaw.SAMPLE_RATE:
        mono = soxr.resample(mono, rate, mulaw.SAMPLE_RATE)
    if not len(mono):
        raise BadAudioError(f"{name} holds no sound: give a file of at least a few milliseconds")
    return (np.clip(np.nan_to_num(mono), -1, 1) * 32767).astype(np.int16)


def spoken_ms(text: str) -> int:
    """How long a voice would take to say this."""
    return max(400, _MS_PER_CHARACTER * len(text.strip()))


def tone(length_ms: int) -> Pcm:
    """A soft hum, swelling four times a second as speech does."""
    time = np.arange(mulaw.SAMPLE_RATE * length_ms // 1000) / mulaw.SAMPLE_RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)
    return (_TONE_PEAK * swell * np.sin(2 * np.pi * _TONE_HZ * time)).astype(np.int16)


def is_voice(frame: bytes) -> bool:
    """Whether a µ-law frame is loud enough to be someone speaking."""
    pcm = mulaw.decode(frame).astype(np.float32)
    return bool(len(pcm)) and float(np.sqrt(np.mean(pcm * pcm))) >= VOICE_RMS


def frames(pcm: Pcm) -> list[bytes]:
    """µ-law frames of 20 ms; the last one is filled up with silence."""
    coded = mulaw.encode(pcm)
    cut = [coded[at : at + FRAME_BYTES] for at in range(0, len(coded), FRAME_BYTES)]
    return [frame.ljust(FRAME_BYTES, mulaw.SILENCE) for frame in cut]
