"""Log mel filter banks as Kaldi computes them, and the normalisation that follows."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

SAMPLE_RATE = 16_000
FRAME_LENGTH = 400
FRAME_SHIFT = 160
_FFT_SIZE = 512
_LOWEST_HZ = 20.0
_PREEMPHASIS = 0.97


def frame_count(samples: int) -> int:
    """Filter-bank frames of an utterance of `samples` samples at 16 kHz."""
    return 0 if samples < FRAME_LENGTH else 1 + (samples - FRAME_LENGTH) // FRAME_SHIFT


def encoder_frames(frames: int) -> int:
    """Encoder frames (25 a second) that come of `frames` filter-bank frames."""
    once = max(0, (frames - 1) // 2)
    return max(0, (once - 1) // 2)


def language_positions(frames: int) -> int:
    """Positions (12.5 a second) an utterance takes in the language model."""
    return -(-encoder_frames(frames) // 2)


def _mel(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # A table first made for inference is kept for training too.
def _mel_filters(bins: int) -> Tensor:
    """Triangles in the mel domain, `[bins, 257]`; the Nyquist column is zero.

    Single precision throughout: the logarithm of a nearly silent band magnifies any difference from
    the arithmetic the published weights were trained with.
    """
    low, high = _mel(_LOWEST_HZ), _mel(SAMPLE_RATE / 2)
    step = (high - low) / (bins + 1)
    index = torch.arange(bins)[:, None]
    left, centre, right = (low + (index + offset) * step for offset in (0.0, 1.0, 2.0))
    hertz = torch.arange(_FFT_SIZE // 2) * (SAMPLE_RATE / _FFT_SIZE)
    mel = 1127.0 * torch.log(1.0 + hertz / 700.0)
    triangles = torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))
    return F.pad(triangles.clamp_min(0.0), (0, 1))


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # A table first made for inference is kept for training too.
def _window() -> Tensor:
    return torch.hann_window(FRAME_LENGTH, periodic=False) ** 0.85


def filter_bank(samples: Tensor, bins: int = 80, dtype: torch.dtype = torch.float32) -> Tensor:
    """Kaldi log mel filter bank without dither.

    Args:
        samples: Mono audio at 16 kHz, float in [-1, 1], `[n]`.
        bins: Number of mel bands.
        dtype: Precision of the arithmetic; the published weights were trained with single.

    Returns:
        `[frame_count(n), bins]` of that type; no frame when the audio is shorter than 25 ms.
    """
    if samples.ndim != 1:
        raise ValueError(f"filter_bank takes one channel of samples, got shape {samples.shape}")
    if samples.shape[0] < FRAME_LENGTH:
        return samples.new_zeros(0, bins, dtype=dtype)
    frames = (samples.to(dtype) * 32768.0).unfold(0, FRAME_LENGTH, FRAME_SHIFT)
    frames = frames - frames.mean(dim=1, keepdim=True)
    previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    frames = (frames - _PREEMPHASIS * previous) * _window().to(frames)
    power = torch.fft.rfft(frames, n=_FFT_SIZE).abs() ** 2
    energy = power @ _mel_filters(bins).to(frames).T
    return torch.log(energy.clamp_min(torch.finfo(torch.float32).eps))


class FilterBankStream:
    """Filter banks of audio that comes in pieces: those of the whole.

    Args:
        bins: Number of mel bands.
    """

    def __init__(self, bins: int = 80) -> None:
        self._bins = bins
        self._samples = torch.zeros(0)

    def push(self, samples: Tensor) -> Tensor:
        """Take further samples `[n]`; gives the frames `[m, bins]` they complete."""
        self._samples = torch.cat([self._samples, samples.float()])
        frames = frame_count(self._samples.shape[0])
        used = FRAME_SHIFT * (frames - 1) + FRAME_LENGTH if frames else 0
        features = filter_bank(self._samples[:used], self._bins)
        self._samples = self._samples[FRAME_SHIFT * frames :]
        return features


class GlobalCmvn(nn.Module):
    """Shifts and scales each mel band by statistics of the training data."""

    mean: Tensor
    istd: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bins))
        self.register_buffer("istd", torch.ones(bins))

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Normalise `[..., bins]`."""
        normal: Tensor = (features - self.mean) * self.istd
        return normal
