"""Stage 3.1 of vita-tiny: the source-filter codec, trained on vocoder features alone."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from vita_model.speech import vocoder
from vita_model.speech.source_filter import SourceFilterCodec, SourceFilterConfig
from vita_model.training.corpora import load_spoken


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the stage."""

    rate: float = 1.5e-3
    minutes: float = 12.0
    batch: int = 24
    frames: int = 160
    commitment: float = 0.25
    decay: float = 0.98
    seed: int = 3
    save_minutes: float = 2.0


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


def train(data: Path, folder: Path, recipe: Recipe) -> SourceFilterCodec:
    """Run or resume; writes `folder/codec.pt`."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "codec.pt"
    codec = SourceFilterCodec(SourceFilterConfig())
    clips = [item.features.float() for item in load_spoken(data, "train")]
    everything = torch.cat(clips)
    codec.mean.copy_(everything.mean(0))
    codec.deviation.copy_(everything.std(0).clamp(min=1e-2))
    codec.deviation[: vocoder.BANDS] = everything[:, : vocoder.BANDS].std()
    codec.mean[vocoder.BANDS + 1], codec.deviation[vocoder.BANDS + 1] = 0.5, 0.5
    optimiser = torch.optim.AdamW(
        [p for n, p in codec.named_parameters() if not n.startswith("codebook")],
        lr=recipe.rate,
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    step, spent = 0, 0.0
    sums = torch.zeros(codec.config.codes, codec.config.code_width)
    counts = torch.zeros(codec.config.codes)
    started = False
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        codec.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent, sums, counts, started = (
            state["step"],
            state["spent"],
            state["sums"],
            state["counts"],
            True,
        )
    rng = random.Random(recipe.seed + step)
    total, last, losses, used = (
        recipe.minutes * 60,
        time.monotonic(),
        [],
        torch.zeros(codec.config.codes),
    )
    while spent < total:
        begin = time.process_time()
        rate = (
            recipe.rate * min(1.0, (step + 1) / 50) * max(0.02, min(1.0, (1 - spent / total) / 0.6))
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        pieces: list[Tensor] = []
        while len(pieces) < recipe.batch:
            clip = rng.choice(clips)
            if len(clip) >= recipe.frames:
                start = rng.randrange(len(clip) - recipe.frames + 1)
                pieces.append(clip[start : start + recipe.frames])
        wanted = torch.stack(pieces)
        latent = codec.latent(wanted)
        flat = latent.detach().reshape(-1, codec.config.code_width)
        if not started and step == 30:
            codec.codebook.weight.data.copy_(flat[torch.randperm(len(flat))[: codec.config.codes]])
            sums, counts, started = (
                codec.codebook.weight.data.clone(),
                torch.ones(codec.config.codes),
                True,
            )
        if started:
            codes = codec.quantise(flat)
            one = F.one_hot(codes, codec.config.codes).float()
            used += one.sum(0)
            counts = recipe.decay * counts + (1 - recipe.decay) * one.sum(0)
            sums = recipe.decay * sums + (1 - recipe.decay) * (one.T @ flat)
            if step % 20 == 0:
                dead = counts < 0.05
                if bool(dead.any()):
                    fresh = flat[torch.randint(0, len(flat), (int(dead.sum()),))]
                    sums[dead], counts[dead] = fresh, 1.0
            codec.codebook.weight.data.copy_(F.normalize(sums, dim=-1))
            chosen = codec.rows()[codes].view_as(latent)
            commit = 1 - (latent * chosen).sum(-1).mean()
            passed = latent + (chosen - latent).detach()
        else:
            passed, commit = latent, torch.zeros(())
        loss = feature_loss(codec, wanted, codec.features(passed)) + recipe.commitment * commit
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        step += 1
        spent += time.process_time() - begin
        if step % 100 == 0:
            share = used / used.sum().clamp(min=1)
            perplexity = float(torch.exp(-(share * torch.log(share + 1e-9)).sum()))
            print(
                json.dumps(
                    {
                        "step": step,
                        "minutes": round(spent / 60, 2),
                        "loss": round(sum(losses) / len(losses), 4),
                        "perplexity": round(perplexity),
                    }
                ),
                flush=True,
            )
            losses, used = [], torch.zeros(codec.config.codes)
        if time.monotonic() - last > recipe.save_minutes * 60 or spent >= total:
            last = time.monotonic()
            torch.save(
                {
                    "model": codec.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "spent": spent,
                    "sums": sums,
                    "counts": counts,
                },
                state_file,
            )
    return codec


def load(folder: Path) -> SourceFilterCodec:
    """The trained codec."""
    codec = SourceFilterCodec(SourceFilterConfig())
    codec.load_state_dict(torch.load(folder / "codec.pt", weights_only=True)["model"])
    return codec.eval()
