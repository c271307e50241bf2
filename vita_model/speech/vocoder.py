"""A fixed source-filter vocoder: spectral envelope, pitch and voicing to 24 kHz speech and back.

The learned part of the small codec predicts these features; the waveform itself is made by this
fixed synthesiser, so no adversarial training is needed. One frame is 12.5 ms (300 samples).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RATE = 24_000
HOP = 300
FFT = 1024
BANDS = 80
FEATURES = BANDS + 2
"""Log envelope in `BANDS` bands, log2 of pitch in Hz, voicing in 0..1."""

LOWEST_PITCH = 60.0
HIGHEST_PITCH = 400.0
VOICED_LIMIT_HZ = 4_200.0
FLOOR = 1e-4
_ANALYSIS_WINDOW = 600


def _band_centres() -> Tensor:
    low, high = 0.0, 2595.0 * torch.log10(torch.tensor(1.0 + 12_000.0 / 700.0))
    mel = torch.linspace(low, float(high), BANDS)
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def _band_filters() -> Tensor:
    """Triangles over FFT bins, `[BANDS, FFT // 2 + 1]`, never narrower than a pitch period."""
    centres = _band_centres()
    bins = torch.arange(FFT // 2 + 1) * RATE / FFT
    spacing = torch.diff(centres, append=centres[-1:] + (centres[-1] - centres[-2]))
    half = torch.clamp(spacing, min=110.0)
    weights = torch.clamp(1.0 - (bins[None] - centres[:, None]).abs() / half[:, None], min=0.0)
    return weights / weights.sum(1, keepdim=True)


def _interpolation() -> Tensor:
    """Linear interpolation of bands onto FFT bins, `[FFT // 2 + 1, BANDS]`."""
    centres = _band_centres()
    bins = torch.arange(FFT // 2 + 1) * RATE / FFT
    upper = torch.searchsorted(centres, bins).clamp(1, BANDS - 1)
    share = (bins - centres[upper - 1]) / (centres[upper] - centres[upper - 1])
    matrix = torch.zeros(len(bins), BANDS)
    rows = torch.arange(len(bins))
    matrix[rows, upper - 1] = 1.0 - share
    matrix[rows, upper] = share
    return matrix


def analyse(samples: Tensor) -> Tensor:
    """Features of one utterance.

    Args:
        samples: Mono at 24 kHz, `[samples]`.

    Returns:
        `[samples // HOP, FEATURES]`.
    """
    frames = len(samples) // HOP
    window = torch.hann_window(_ANALYSIS_WINDOW)
    spectrum = torch.stft(
        samples,
        FFT,
        HOP,
        _ANALYSIS_WINDOW,
        window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )[:, :frames]
    power = spectrum.abs().square() / window.square().sum()
    envelope = torch.log(_band_filters() @ power + FLOOR**2) * 0.5
    pitch, voicing = _pitch(samples, frames)
    return torch.cat([envelope, pitch[None], voicing[None]]).T.contiguous()


def _pitch(samples: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Log2 pitch (interpolated over unvoiced frames) and voicing by normalised correlation."""
    step, width = 3, 512
    low = torch.nn.functional.avg_pool1d(samples[None, None], step)[0, 0]
    rate = RATE // step
    hop = HOP // step
    shortest, longest = int(rate / HIGHEST_PITCH), int(rate / LOWEST_PITCH)
    padded = torch.nn.functional.pad(low, (width // 2, width + longest + hop))
    block = padded.unfold(0, width + longest, hop)[:frames]
    head = block[:, :width] - block[:, :width].mean(1, keepdim=True)
    body = block - block.mean(1, keepdim=True)
    size = 2048
    cross = torch.fft.irfft(torch.fft.rfft(head, size).conj() * torch.fft.rfft(body, size), size)[
        :, : longest + 1
    ]
    squares = torch.cumsum(torch.nn.functional.pad(body.square(), (1, 0)), 1)
    energy = squares[:, width : width + longest + 1] - squares[:, : longest + 1]
    correlation = cross / torch.sqrt(energy * head.square().sum(1, keepdim=True) + 1e-6)
    lags = torch.arange(shortest, longest + 1)
    score = correlation[:, shortest:] - 0.04 * torch.log2(lags / shortest)
    path = _smooth_path(score)
    strength = correlation[:, shortest:].gather(1, path[:, None])[:, 0]
    loud = body.square().mean(1).sqrt() > 3e-3
    voiced = (strength > 0.45) & loud
    log_pitch = torch.log2(rate / lags[path].float())
    if not bool(voiced.any()):
        return torch.full((frames,), 7.0), torch.zeros(frames)
    known = torch.nonzero(voiced)[:, 0]
    position = torch.arange(frames)
    after = torch.searchsorted(known, position).clamp(max=len(known) - 1)
    before = (after - 1).clamp(min=0)
    left, right = known[before], known[after]
    share = ((position - left) / (right - left).clamp(min=1)).clamp(0, 1)
    filled = log_pitch[left] * (1 - share) + log_pitch[right] * share
    return torch.where(voiced, log_pitch, filled), voiced.float()


def _smooth_path(score: Tensor) -> Tensor:
    """Best lag per frame under a penalty on jumps (Viterbi over every second lag)."""
    every = 2
    thin = score[:, ::every]
    count = thin.shape[1]
    index = torch.arange(count).float()
    jump = 0.03 * (index[:, None] - index[None]).abs().clamp(max=20)
    best = thin[0]
    back = []
    for row in thin[1:]:
        total, origin = (best[None] - jump).max(1)
        best = total + row
        back.append(origin)
    state = int(best.argmax())
    path = [state]
    for origin in reversed(back):
        state = int(origin[state])
        path.append(state)
    return torch.tensor(path[::-1]) * every


@dataclass(slots=True)
class _Carry:
    """What one chunk leaves for the next: pulse phase, last frame, overlapping tails."""

    phase: float
    last: Tensor | None
    excitation: Tensor
    tail: Tensor
    noise: torch.Generator


class Synthesiser:
    """Turns feature frames into samples, chunk by chunk without seams.

    One instance speaks one utterance. Output lags the frames by `FFT` samples at most; `finish`
    returns the rest.
    """

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._carry = _Carry(
            0.0, None, torch.zeros(2, FFT - HOP), torch.zeros(FFT - HOP), generator
        )
        self._interpolation = _interpolation()
        bins = torch.arange(FFT // 2 + 1) * RATE / FFT
        self._low = torch.sigmoid((VOICED_LIMIT_HZ - bins) / 300.0)
        self._window = torch.hann_window(FFT)
        self._scale = HOP / self._window.square().sum()

    def push(self, features: Tensor) -> Tensor:
        """Samples for further frames, `[frames, FEATURES]` to `[frames * HOP]`."""
        carry = self._carry
        frames = len(features)
        if frames == 0:
            return torch.zeros(0)
        previous = features[:1] if carry.last is None else carry.last[None]
        steps = torch.arange(1, HOP + 1) / HOP
        rows = torch.cat([previous, features])
        pitch = 2.0 ** (rows[:-1, BANDS, None] * (1 - steps) + rows[1:, BANDS, None] * steps)
        phase = carry.phase + torch.cumsum(pitch.reshape(-1).double() / RATE, 0)
        wraps = torch.floor(phase)
        before = torch.cat(
            [torch.tensor([float(int(carry.phase))], dtype=torch.float64), wraps[:-1]]
        )
        pulses = (wraps > before).float() * torch.sqrt(RATE / pitch.reshape(-1))
        noise = torch.randn(frames * HOP, generator=carry.noise)
        source = torch.cat([carry.excitation, torch.stack([pulses, noise])], 1)
        spectra = torch.fft.rfft(source.unfold(1, FFT, HOP) * self._window)
        envelope = torch.exp(features[:, :BANDS]) @ self._interpolation.T
        voicing = features[:, BANDS + 1].clamp(0, 1)[:, None]
        harmonic = voicing.sqrt() * self._low
        breath = torch.sqrt(1.0 - harmonic.square())
        shaped = envelope * (spectra[0] * harmonic + spectra[1] * breath)
        pieces = torch.fft.irfft(shaped, FFT) * self._window * self._scale
        output = torch.zeros(frames * HOP + FFT - HOP)
        output[: FFT - HOP] = carry.tail
        for index, piece in enumerate(pieces):
            output[index * HOP : index * HOP + FFT] += piece
        carry.phase = float(phase[-1] - torch.floor(phase[-1]))
        carry.last = features[-1]
        carry.excitation = source[:, -(FFT - HOP) :]
        carry.tail = output[frames * HOP :].clone()
        return output[: frames * HOP].clamp(-1, 1)

    def finish(self) -> Tensor:
        """The tail after the last frame, `[FFT - HOP]`."""
        return self._carry.tail.clamp(-1, 1)


def synthesise(features: Tensor, seed: int = 0) -> Tensor:
    """A whole utterance, `[frames, FEATURES]` to `[frames * HOP]`, aligned with its analysis."""
    synthesiser = Synthesiser(seed)
    samples = torch.cat([synthesiser.push(features), synthesiser.finish()])
    return samples[FFT // 2 :][: len(features) * HOP]
