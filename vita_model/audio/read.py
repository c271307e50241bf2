"""Sound of any rate and format to mono samples at 16 kHz, within limits."""

from __future__ import annotations

from typing import Any, TypeAlias

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from vita_model.audio.features import SAMPLE_RATE
from vita_model.container import READ_FAULTS, opened
from vita_model.media import AudioError, Source, check_finite, read_bytes

Samples: TypeAlias = NDArray[np.float32]
"""Mono, float32 in [-1, 1]."""

Waveform: TypeAlias = tuple[NDArray[Any], int]
"""Samples `[n]` or `[n, channels]`, floats in [-1, 1] or integers, and their rate in hertz."""

MOST_SECONDS = 200.0
"""The published encoder has 5,000 positions of 40 ms."""
MOST_CHANNELS = 8
"""PyAV looks past the end of a frame that has more."""
LEAST_SECONDS = 0.085
"""Less gives the language model no row at all."""
_RATES = (1_000, 768_000)
_FORMATS = "wav,w64,rf64,aiff,flac,ogg,mp3,aac,mov,mp4,m4a,matroska,webm,amr,au,caf,asf,adts,avi,mpegts,3gp"


def read_audio(source: Source | Waveform, wanted: int = SAMPLE_RATE) -> Samples:
    """Mono samples of a file or of samples at another rate; the first channel is taken.

    Args:
        source: A sound file (or a film, whose sound is taken), or samples with their rate.
        wanted: Rate of the result in hertz, 16,000 as the model hears.

    Raises:
        AudioError: It cannot be read, is empty or too long, or holds values that are no numbers.
        MediaError: It is no file at all.
    """
    samples, rate = _given(source) if isinstance(source, tuple) else _decoded(source)
    if not _RATES[0] <= rate <= _RATES[1]:
        raise AudioError(f"A rate of {rate} Hz is no rate of sound; give the true one.")
    seconds = samples.shape[0] / rate
    if seconds > MOST_SECONDS:
        raise _too_long()
    if seconds < LEAST_SECONDS:
        raise AudioError(
            f"The recording is {seconds:.2f} s long; send at least {LEAST_SECONDS} s of sound."
        )
    check_finite(samples)
    if float(np.abs(samples).max()) > 2.0:
        raise AudioError(
            "Samples must lie between -1 and 1; divide them, or give them as 16-bit integers."
        )
    if rate != wanted:
        samples = soxr.resample(samples, rate, wanted)
    return np.clip(samples, -1.0, 1.0)


def _given(source: Waveform) -> tuple[Samples, int]:
    try:
        values, rate = source
        array, whole = np.asarray(values), int(rate)
    except (TypeError, ValueError, OverflowError) as error:
        raise AudioError("Give samples as an array together with their rate.") from error
    if array.ndim not in {1, 2} or array.dtype.kind not in "fiu" or array.size == 0:
        raise AudioError(
            f"Samples of shape {array.shape} and type {array.dtype} are no recording;"
            " give numbers as [n] or [n, channels]."
        )
    first = array if array.ndim == 1 else array[:, 0]
    if array.dtype.kind == "f":
        return np.ascontiguousarray(first, dtype=np.float32), whole
    limits = np.iinfo(array.dtype)
    half = (int(limits.max) + 1 + int(limits.min)) // 2  # unsigned samples lie about their middle
    scaled = (first.astype(np.float64) - half) / (int(limits.max) + 1 - half)
    return scaled.astype(np.float32), whole


def _decoded(source: Source) -> tuple[Samples, int]:
    data = read_bytes(source, "recording")
    pieces: list[Samples] = []
    count = rate = 0
    try:
        with opened(data, _FORMATS) as container:
            stream = _sound(container)
            rate = stream.rate or 0
            convert = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                _check_channels(frame)
                rate = rate or frame.sample_rate
                for part in convert.resample(frame):
                    pieces.append(_first_channel(part))
                    count += part.samples
                if rate and count > MOST_SECONDS * rate:
                    raise _too_long()
    except AudioError:
        raise
    except READ_FAULTS as error:
        # A recording that breaks off is used as far as it goes.
        if not pieces:
            raise AudioError(
                "The recording cannot be read; send a whole sound file, such as WAV or MP3."
            ) from error
    return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), max(rate, 1)


def _check_channels(frame: av.AudioFrame) -> None:
    if frame.layout.nb_channels > MOST_CHANNELS:
        raise AudioError(f"The recording has more than {MOST_CHANNELS} channels; send one or two.")


def _first_channel(frame: av.AudioFrame) -> Samples:
    """A copy of its samples, without asking the frame for all of its channels."""
    plane = frame.planes[0]
    if frame.samples <= 0 or plane.buffer_size < 4 * frame.samples:
        raise AudioError("The recording is damaged; send a whole sound file, such as WAV or MP3.")
    return np.frombuffer(bytes(plane)[: 4 * frame.samples], np.float32)


def _sound(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise AudioError("There is no sound in the file; send one with sound.")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise AudioError("The recording's kind is not known; send WAV or MP3.")
    return stream


def _too_long() -> AudioError:
    return AudioError(f"The recording is too long; send at most {MOST_SECONDS:.0f} s at a time.")
