"""Stage 3.2 of vita-tiny: NAR and AR speech decoder over the codec's codes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from vita_model.speech import vocoder
from vita_model.speech.aligned import AlignedConfig, AlignedSpeechDecoder, layout
from vita_model.speech.source_filter import SourceFilterCodec
from vita_model.training.corpora import Spoken, load_spoken
from vita_model.training.loop import Run, train_steps
from vita_model.training.trainer import TrainingError

CODE_SAMPLES = 2 * vocoder.HOP


@dataclass(frozen=True, slots=True)
class Settings:
    """Codes of a batch, and the share of the history that is wrong on purpose."""

    rows_per_batch: int = 1800
    wrong_history: float = 0.25


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence: phoneme ids, exact ends in codes, codes `[n, 2]`."""

    phonemes: Tensor
    ends: Tensor
    codes: Tensor


def example(item: Spoken, codec: SourceFilterCodec, number: dict[str, int]) -> Example:
    """Codes and phoneme ends of a sentence; both are cut to the shorter of the two."""
    features = item.features.float()
    features = features[: len(features) // 2 * 2]
    with torch.no_grad():
        codes = codec.quantise(codec.latent(features[None]))[0]
    kept = [(number[p], n) for p, n in zip(item.phonemes, item.lengths, strict=True) if p in number]
    ends = torch.cumsum(torch.tensor([n / CODE_SAMPLES for _, n in kept]), 0)
    ends = ends * (len(codes) / float(ends[-1]))
    return Example(torch.tensor([p for p, _ in kept]), ends, codes)


def _batches(items: list[Example], rows: int, rng: random.Random) -> Iterable[list[Example]]:
    while True:
        order = sorted(items, key=lambda e: len(e.codes) + rng.uniform(-10, 10))
        groups: list[list[Example]] = [[]]
        for item in order:
            if groups[-1] and (len(groups[-1]) + 1) * len(item.codes) > rows:
                groups.append([])
            groups[-1].append(item)
        rng.shuffle(groups)
        yield from groups


def _losses(
    decoder: AlignedSpeechDecoder, batch: list[Example], wrong: float
) -> tuple[Tensor, dict[str, float]]:
    count = len(batch)
    longest = max(len(e.phonemes) for e in batch)
    ids = torch.zeros(count, longest, dtype=torch.long)
    sizes = torch.tensor([len(e.phonemes) for e in batch])
    for i, e in enumerate(batch):
        ids[i, : len(e.phonemes)] = e.phonemes
    mask = torch.arange(longest)[None] < sizes[:, None]
    rows, lengths = decoder.read(ids, mask[:, None, None])
    frames = max(len(e.codes) for e in batch)
    width = rows.shape[-1]
    laid_in = torch.zeros(count, frames, width)
    places = torch.zeros(count, frames, 4)
    codes = torch.full((count, frames, 2), -100)
    wanted = torch.zeros(count, longest)
    for i, e in enumerate(batch):
        owner, place = layout(e.ends)
        n = min(len(owner), len(e.codes))
        laid_in[i, :n] = rows[i, owner[:n]]
        places[i, :n], codes[i, :n] = place[:n], e.codes[:n]
        wanted[i, : len(e.ends)] = torch.log(
            torch.diff(e.ends, prepend=torch.zeros(1)).clamp(min=0.05)
        )
    real = codes[..., 0] >= 0
    laid = decoder.lay(laid_in, places, real[:, None, None])
    none = decoder.config.codes
    before = F.pad(codes.clamp(min=0)[:, :-1], (0, 0, 1, 0), value=none)
    guessed = decoder.guess(laid)
    with torch.no_grad():
        own = F.pad(guessed.argmax(-1)[:, :-1], (1, 0), value=none)
        other = torch.randint(0, none, own.shape)
        mixed = torch.where(torch.rand(own.shape) < 0.7, own, other)
        swap = torch.rand(own.shape) < wrong
        heard = torch.where(swap, mixed, before[..., 0])
        finer = torch.where(torch.rand(own.shape) < wrong, other, before[..., 1])
    coarse, fine = decoder.speak(laid, torch.stack([heard, finer], -1), codes[..., 0].clamp(min=0))
    length = (F.smooth_l1_loss(lengths, wanted, reduction="none") * mask).sum() / mask.sum()
    guess = _entropy(guessed, codes[..., 0])
    decide = _entropy(coarse, codes[..., 0])
    refine = _entropy(fine, codes[..., 1])
    right = float(((coarse.argmax(-1) == codes[..., 0]) & real).sum() / real.sum())
    parts = {"length": length, "guess": guess, "decide": decide, "refine": refine}
    figures = {name: float(value.detach()) for name, value in parts.items()}
    return length + 0.6 * guess + decide + 0.5 * refine, {**figures, "right": right}


def _entropy(logits: Tensor, codes: Tensor) -> Tensor:
    return F.cross_entropy(logits.transpose(1, 2), codes, ignore_index=-100, label_smoothing=0.05)


def inventory(items: Iterable[Spoken]) -> list[str]:
    """All phonemes of the corpus, most frequent first."""
    counts: Counter[str] = Counter()
    for item in items:
        counts.update(item.phonemes)
    return [p for p, _ in counts.most_common()]


def train(data: Path, codec: SourceFilterCodec, run: Run, settings: Settings) -> bool:
    """Run or resume."""
    torch.manual_seed(run.seed)
    state = run.state()
    phonemes = state["phonemes"] if state else inventory(load_spoken(data, "train"))
    number = {p: i + 1 for i, p in enumerate(phonemes)}
    items = [example(s, codec, number) for s in load_spoken(data, "train")]
    if not items:
        raise TrainingError(f"{data} has no sentences to speak; make them with vita data synth.")
    config = AlignedConfig(phonemes=len(phonemes))
    decoder = AlignedSpeechDecoder(config)
    optimiser = torch.optim.AdamW(
        decoder.parameters(), run.pace.rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    done = state["step"] if state else 0
    stream = islice(_batches(items, settings.rows_per_batch, random.Random(run.seed)), done, None)

    def loss_of(_: int, __: random.Random) -> tuple[Tensor, dict[str, float]]:
        return _losses(decoder, next(stream), settings.wrong_history)

    kept = {"phonemes": phonemes, "config": asdict(config)}
    return train_steps(run, decoder, optimiser, loss_of, state=state, kept=lambda: kept)


def load(file: Path) -> tuple[AlignedSpeechDecoder, list[str]]:
    """The trained decoder and its phonemes."""
    state = torch.load(file, weights_only=True)
    decoder = AlignedSpeechDecoder(AlignedConfig(**state["config"]))
    decoder.load_state_dict(state["model"])
    return decoder.eval(), state["phonemes"]
