"""The small codec: two residual codebooks of 1,024 at 40 Hz around the fixed vocoder.

Same interface as TiCodec's: `encode` a waveform to codes, decode codes to a waveform. The learned
part maps vocoder features (80 Hz) to codes (40 Hz) and back; the waveform is the vocoder's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from vita_model.speech import vocoder


@dataclass(frozen=True, slots=True)
class SourceFilterConfig:
    """Sizes of the codec."""

    width: int = 192
    code_width: int = 32
    codes: int = 1024
    blocks: int = 3
    rate: int = 40


class Residual(nn.Module):
    """Two convolutions with a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 5, padding=2)
        self.conv2 = nn.Conv1d(width, width, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """`[batch, width, frames]` to the same."""
        return x + self.conv2(F.gelu(self.conv1(F.gelu(x))))


class SourceFilterCodec(nn.Module):
    """Encoder, cosine codebook, codebook of what it leaves, decoder over vocoder features."""

    mean: Tensor
    deviation: Tensor

    context = 8
    """Codes on each side that can change a decoded frame."""

    def __init__(self, config: SourceFilterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("mean", torch.zeros(vocoder.FEATURES))
        self.register_buffer("deviation", torch.ones(vocoder.FEATURES))
        self.encoder = nn.Sequential(
            nn.Conv1d(vocoder.FEATURES, width, 5, padding=2),
            Residual(width),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            *(Residual(width) for _ in range(config.blocks)),
            nn.Conv1d(width, config.code_width, 1),
        )
        self.codebook = nn.Embedding(config.codes, config.code_width)
        self.fine_codebook = nn.Embedding(config.codes, config.code_width)
        self.decoder = nn.Sequential(
            nn.Conv1d(config.code_width, width, 3, padding=1),
            *(Residual(width) for _ in range(config.blocks)),
            nn.ConvTranspose1d(width, width, 4, stride=2, padding=1),
            Residual(width),
            nn.Conv1d(width, vocoder.FEATURES, 3, padding=1),
        )

    def latent(self, features: Tensor) -> Tensor:
        """Unit-length latents, `[batch, frames, FEATURES]` to `[batch, frames // 2, code_width]`."""
        normal = ((features - self.mean) / self.deviation).transpose(1, 2)
        return F.normalize(self.encoder(normal).transpose(1, 2), dim=-1)

    def coarse_rows(self) -> Tensor:
        """Unit-length first codebook, `[codes, code_width]`."""
        return F.normalize(self.codebook.weight, dim=-1)

    def quantise(self, latent: Tensor) -> Tensor:
        """Coarse and fine codes of latents, `[..., code_width]` to `[..., 2]`."""
        coarse = (latent @ self.coarse_rows().T).argmax(-1)
        rest = latent - self.coarse_rows()[coarse]
        return torch.stack([coarse, nearest(rest, self.fine_codebook.weight)], -1)

    def rows(self, codes: Tensor) -> Tensor:
        """What the decoder reads for codes, `[..., 2]` to `[..., code_width]`."""
        return self.coarse_rows()[codes[..., 0]] + self.fine_codebook(codes[..., 1])

    def features(self, quantised: Tensor) -> Tensor:
        """Vocoder features of code rows, `[batch, n, code_width]` to `[batch, 2n, FEATURES]`."""
        out = self.decoder(quantised.transpose(1, 2)).transpose(1, 2)
        return out * self.deviation + self.mean

    @torch.no_grad()
    def encode(self, samples: Tensor) -> Tensor:
        """Codes of a mono waveform at 24 kHz, `[samples]` to `[samples // 600, 2]`."""
        features = vocoder.analyse(samples)
        features = features[: len(features) // 2 * 2]
        return self.quantise(self.latent(features[None]))[0]

    @torch.no_grad()
    def decode_features(self, codes: Tensor) -> Tensor:
        """Vocoder features of codes, `[n, 2]` to `[2n, FEATURES]`."""
        return self.features(self.rows(codes)[None])[0]

    @torch.no_grad()
    def decode(self, codes: Tensor, seed: int = 0) -> Tensor:
        """Waveform of codes, `[n, 2]` to `[600 n]` at 24 kHz."""
        return vocoder.synthesise(_tidy(self.decode_features(codes)), seed)


def nearest(points: Tensor, table: Tensor) -> Tensor:
    """Index of the closest row for every point, `[..., width]` to `[...]`."""
    return (points @ table.T - 0.5 * table.square().sum(-1)).argmax(-1)


def _tidy(features: Tensor) -> Tensor:
    """Bring predicted voicing to a decision and keep pitch within the vocoder's range."""
    tidy = features.clone()
    voicing = features[:, vocoder.BANDS + 1]
    tidy[:, vocoder.BANDS + 1] = torch.sigmoid((voicing - 0.5) * 12)
    return tidy


class CodecStream:
    """Decodes codes as they come; a chunk is final once `context` later codes are known."""

    def __init__(self, codec: SourceFilterCodec, seed: int = 0) -> None:
        self._codec = codec
        self._synthesiser = vocoder.Synthesiser(seed)
        self._codes: list[tuple[int, int]] = []
        self._done = 0
        self._trim = vocoder.FFT // 2

    def push(
        self, codes: list[tuple[int, int]], *, last: bool = False, ahead: int | None = None
    ) -> Tensor:
        """Samples that are final after further codes; with `last` all that is left.

        Args:
            codes: Further codes.
            last: No more will come.
            ahead: Codes of look-ahead to wait for, `context` unless given.
        """
        self._codes += codes
        margin = self._codec.context if ahead is None else ahead
        end = len(self._codes) if last else max(self._done, len(self._codes) - margin)
        pieces = []
        if end > self._done:
            left = max(0, self._done - self._codec.context)
            right = min(len(self._codes), end + self._codec.context)
            window = torch.tensor(self._codes[left:right])
            features = _tidy(self._codec.decode_features(window))
            first = 2 * (self._done - left)
            pieces.append(self._synthesiser.push(features[first : first + 2 * (end - self._done)]))
            self._done = end
        if last:
            pieces.append(self._synthesiser.finish()[: vocoder.FFT // 2])
        samples = torch.cat(pieces) if pieces else torch.zeros(0)
        ahead_of_start = min(self._trim, len(samples))
        self._trim -= ahead_of_start
        return samples[ahead_of_start:]
