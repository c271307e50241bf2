"""Stage 3.1: the codec learns to write speech in codes and to read it back.

The loss compares log mel spectrograms at several resolutions and keeps codes and latent together.
TiCodec's adversarial terms are left out: they sharpen the sound and need a second network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from vita_model.config import CodecConfig, Config
from vita_model.speech.codec import TiCodec
from vita_model.training.parts import Learner
from vita_model.training.tasks.recordings import Recording
from vita_model.training.tasks.task import Batch, Loss, TaskError

WINDOWS = (512, 1024, 2048)
"""Lengths of the analysis windows in samples."""
BANDS = 64


class Options(Config):
    """Settings of the task: seconds of speech cut from each recording."""

    seconds: Annotated[float, Field(gt=0.1)] = 1.0


class Coding:
    """Reconstruction through the codes."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        config: CodecConfig,
        *,
        weights: Mapping[str, float] | None = None,
        options: Options | None = None,
    ) -> None:
        if not config.encoder:
            raise TaskError("A codec without its encoder cannot learn; set codec.encoder.")
        self._recordings = recordings
        self._config = config
        self._weights = {"mel": 1.0, "codes": 1.0, **(weights or {})}
        frames = round((options or Options()).seconds * config.sample_rate / config.hop)
        self._samples = max(1, frames) * config.hop

    @property
    def size(self) -> int:
        """Number of recordings."""
        return len(self._recordings)

    def batch(self, indices: Sequence[int], seed: int) -> Batch:
        """`waveforms` `[batch, 1, samples]`, a random piece of each recording."""
        generator = np.random.default_rng(seed)
        pieces = []
        for index in indices:
            sound = self._recordings[index].samples(self._config.sample_rate)
            start = int(generator.integers(0, max(1, len(sound) - self._samples)))
            piece = sound[start : start + self._samples]
            pieces.append(F.pad(piece, (0, self._samples - piece.shape[0])))
        return {"waveforms": torch.stack(pieces)[:, None]}

    def count(self, batch: Batch) -> float:
        """Recordings."""
        return float(batch["waveforms"].shape[0])

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """See the module."""
        codec = cast(TiCodec, learner.codec)
        wanted = batch["waveforms"]
        found = codec.quantizer(*codec.encoder(wanted))
        heard = codec.generator(found.latent, found.voice)
        size = min(heard.shape[2], wanted.shape[2])
        rate = self._config.sample_rate
        mel = mel_distance(heard[:, 0, :size], wanted[:, 0, :size], rate) * len(wanted)
        codes = found.loss * len(wanted)
        total = self._weights["mel"] * mel + self._weights["codes"] * codes
        return Loss(total, {"mel": mel.detach(), "codes": codes.detach()})


def mel_distance(heard: Tensor, wanted: Tensor, rate: int) -> Tensor:
    """Mean absolute difference of log mel spectrograms of `[batch, samples]`, over `WINDOWS`."""
    distances = []
    for window in WINDOWS:
        taper = torch.hann_window(window, device=heard.device)
        both = torch.stft(
            torch.cat([heard, wanted]).float(),
            window,
            window // 4,
            window=taper,
            return_complex=True,
        ).abs()
        bands = _filters(window, rate).to(heard.device) @ both
        first, second = bands.clamp_min(1e-5).log().chunk(2)
        distances.append((first - second).abs().mean())
    return torch.stack(distances).mean()


@lru_cache(maxsize=8)
def _filters(window: int, rate: int) -> Tensor:
    """Triangles in the mel domain, `[bands, window / 2 + 1]`."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    hertz = np.linspace(0, rate / 2, window // 2 + 1)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return torch.from_numpy(np.maximum(0, np.minimum(rising, falling))).float()
