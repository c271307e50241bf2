"""Stage 3.1 of vita-tiny: the source-filter codec, trained on vocoder features alone.

Both codebooks follow running averages of what is assigned to them: the coarse one of unit-length
latents by cosine, the fine one of what the coarse one leaves. Some batches go without the fine
codes, so the coarse ones alone stay intelligible.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from vita_model.speech import vocoder
from vita_model.speech.source_filter import SourceFilterCodec, SourceFilterConfig, nearest
from vita_model.training.corpora import load_spoken
from vita_model.training.loop import Run, State, train_steps
from vita_model.training.trainer import TrainingError

FIRST_CODES_AT = 30
FINE_CODES_AT = 60


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the stage."""

    batch: int = 24
    frames: int = 160
    commitment: float = 0.25
    coarse_only: float = 0.15
    decay: float = 0.98


class Averages:
    """Running averages of the points assigned to each row of a codebook."""

    def __init__(self, table: Tensor, decay: float, *, unit: bool) -> None:
        self.table, self._decay, self._unit = table, decay, unit
        self.sums, self.counts = table.clone(), torch.ones(len(table))

    def begin(self, points: Tensor) -> None:
        """Start from points drawn at random."""
        self.sums = points[torch.randint(0, len(points), (len(self.table),))].clone()
        self.counts = torch.ones(len(self.table))
        self._write()

    def assign(self, points: Tensor) -> Tensor:
        """Rows for points, `[n, width]` to codes `[n]`."""
        if self._unit:
            return (points @ F.normalize(self.table, dim=-1).T).argmax(-1)
        return nearest(points, self.table)

    def learn(self, points: Tensor, codes: Tensor, *, revive: bool) -> None:
        """Move rows to their points; `revive` puts unused rows onto random points."""
        one = F.one_hot(codes, len(self.table)).float()
        self.counts = self._decay * self.counts + (1 - self._decay) * one.sum(0)
        self.sums = self._decay * self.sums + (1 - self._decay) * (one.T @ points)
        dead = self.counts < 0.05
        if revive and bool(dead.any()):
            self.sums[dead] = points[torch.randint(0, len(points), (int(dead.sum()),))]
            self.counts[dead] = 1.0
        self._write()

    def _write(self) -> None:
        mean = self.sums / self.counts[:, None].clamp(min=1e-3)
        self.table.copy_(F.normalize(mean, dim=-1) if self._unit else mean)

    def state(self) -> dict[str, Tensor]:
        """What has to be kept besides the table."""
        return {"sums": self.sums, "counts": self.counts}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        self.sums, self.counts = state["sums"], state["counts"]


def feature_loss(codec: SourceFilterCodec, wanted: Tensor, got: Tensor) -> Tensor:
    """Mean absolute error of the normalised envelope (loud frames weigh more), pitch, voicing."""
    difference = ((got - wanted) / codec.deviation).abs()
    bands = vocoder.BANDS
    loud = torch.sigmoid((wanted[..., :bands].mean(-1, keepdim=True) + 7.5) * 1.5) * 0.8 + 0.2
    voiced = wanted[..., bands + 1 :]
    envelope = (difference[..., :bands] * loud).mean()
    slope = (torch.diff(got[..., :bands], dim=-1) - torch.diff(wanted[..., :bands], dim=-1)).abs()
    pitch = (difference[..., bands : bands + 1] * voiced).mean()
    voicing = F.mse_loss(got[..., bands + 1 :], voiced)
    return envelope + 0.5 * (slope * loud).mean() + 0.3 * pitch + 1.0 * voicing


def _normalise(codec: SourceFilterCodec, clips: list[Tensor]) -> None:
    everything = torch.cat(clips)
    codec.mean.copy_(everything.mean(0))
    codec.deviation.copy_(everything.std(0).clamp(min=1e-2))
    codec.deviation[: vocoder.BANDS] = everything[:, : vocoder.BANDS].std()
    codec.mean[vocoder.BANDS + 1], codec.deviation[vocoder.BANDS + 1] = 0.5, 0.5


def _draw(clips: list[Tensor], settings: Settings, rng: random.Random) -> Tensor:
    pieces = []
    for _ in range(settings.batch):
        clip = rng.choice(clips)
        start = rng.randrange(len(clip) - settings.frames + 1)
        pieces.append(clip[start : start + settings.frames])
    return torch.stack(pieces)


class _Quantiser:
    """The straight-through path and both codebooks' learning."""

    def __init__(self, codec: SourceFilterCodec, settings: Settings) -> None:
        self.coarse = Averages(codec.codebook.weight.data, settings.decay, unit=True)
        self.fine = Averages(codec.fine_codebook.weight.data, settings.decay, unit=False)
        self._settings = settings

    def __call__(self, latent: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """What the decoder reads, and the commitment loss."""
        flat = latent.detach().reshape(-1, latent.shape[-1])
        if step < FIRST_CODES_AT:
            return latent, torch.zeros(())
        if step == FIRST_CODES_AT:
            self.coarse.begin(flat)
        codes = self.coarse.assign(flat)
        self.coarse.learn(flat, codes, revive=step % 20 == 0)
        chosen = F.normalize(self.coarse.table, dim=-1)[codes]
        commitment = 1 - (latent.reshape(-1, latent.shape[-1]) * chosen).sum(-1).mean()
        if step >= FINE_CODES_AT:
            rest = flat - chosen
            if step == FINE_CODES_AT:
                self.fine.begin(rest)
            fine = self.fine.assign(rest)
            self.fine.learn(rest, fine, revive=step % 20 == 0)
            if torch.rand(()) > self._settings.coarse_only:
                chosen = chosen + self.fine.table[fine]
        chosen = chosen.view_as(latent)
        return latent + (chosen - latent).detach(), commitment


def train(data: Path, run: Run, settings: Settings) -> bool:
    """Run or resume."""
    torch.manual_seed(run.seed)
    state = run.state()
    codec = SourceFilterCodec(SourceFilterConfig())
    clips = [item.features.float() for item in load_spoken(data, "train")]
    clips = [clip for clip in clips if len(clip) >= settings.frames]
    if not clips:
        raise TrainingError(
            f"{data} has no sentences for the codec; make them with vita data synth."
        )
    _normalise(codec, clips)
    learned = [p for n, p in codec.named_parameters() if "codebook" not in n]
    optimiser = torch.optim.AdamW(learned, lr=run.pace.rate, betas=(0.9, 0.98), weight_decay=0.0)
    quantiser = _Quantiser(codec, settings)
    if state is not None:
        quantiser.coarse.restore(state["coarse"])
        quantiser.fine.restore(state["fine"])

    def loss_of(step: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        wanted = _draw(clips, settings, rng)
        passed, commitment = quantiser(codec.latent(wanted), step)
        loss = feature_loss(codec, wanted, codec.features(passed))
        return loss + settings.commitment * commitment, {"commitment": float(commitment.detach())}

    def kept() -> State:
        return {"coarse": quantiser.coarse.state(), "fine": quantiser.fine.state()}

    return train_steps(run, codec, optimiser, loss_of, state=state, kept=kept)


def load(file: Path) -> SourceFilterCodec:
    """The trained codec."""
    codec = SourceFilterCodec(SourceFilterConfig())
    codec.load_state_dict(torch.load(file, weights_only=True)["model"])
    return codec.eval()
