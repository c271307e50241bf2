"""Stage 2.1 of vita-tiny: CTC of the adapter onto the language model's tokens, encoder frozen."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.beam import WordModel
from vita_model.audio.ctc_adapter import CtcAdapter, CtcAdapterConfig
from vita_model.audio.units import transcript, unit_ids
from vita_model.training.corpora import Heard, common_words, load_heard
from vita_model.training.dialogues.reading import sample_reading

TESTS = ("slt", "slt-babble", "joe-test", "kokoro-f", "kokoro-m")
LETTERS = " abcdefghijklmnopqrstuvwxyz'"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the stage."""

    rate: float = 1.5e-3
    warmup: int = 60
    minutes: float = 30.0
    frames_per_batch: int = 3600
    letter_weight: float = 0.3
    row_noise: float = 0.15
    seed: int = 2
    save_minutes: float = 3.0


def words_wrong(wanted: str, got: str) -> tuple[int, int]:
    """Word edit distance and number of wanted words."""
    a, b = wanted.split(), got.split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1], len(a)


def inventory(texts: Iterable[str], tokenizer: Tokenizer) -> list[int]:
    """Token ids of all units, most frequent first."""
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(unit_ids(text, tokenizer))
    return [token for token, _ in counts.most_common()]


def batches(clips: list[Heard], recipe: Recipe, rng: random.Random) -> Iterable[list[Heard]]:
    """Clips of like length together, batches in random order, for ever."""
    while True:
        order = sorted(clips, key=lambda clip: len(clip.rows) + rng.uniform(-12, 12))
        groups: list[list[Heard]] = [[]]
        for clip in order:
            if groups[-1] and (len(groups[-1]) + 1) * len(clip.rows) > recipe.frames_per_batch:
                groups.append([])
            groups[-1].append(clip)
        rng.shuffle(groups)
        yield from groups


def collate(clips: list[Heard], augment: Recipe | None) -> tuple[Tensor, Tensor]:
    """Padded rows and lengths; with augmentation: noise, time masks, a random gain of channels."""
    lengths = torch.tensor([len(clip.rows) for clip in clips])
    rows = torch.zeros(len(clips), int(lengths.max()), clips[0].rows.shape[1])
    for index, clip in enumerate(clips):
        value = clip.rows.float()
        if augment:
            value = value + augment.row_noise * torch.randn_like(value)
            for _ in range(2):
                width = int(torch.randint(0, 11, ()))
                start = int(torch.randint(0, max(1, len(value) - width), ()))
                value[start : start + width] = 0
            drop = torch.rand(value.shape[1]) < 0.04
            value[:, drop] = 0
        rows[index, : len(value)] = value
    return rows, lengths


@torch.no_grad()
def error_rate(adapter: CtcAdapter, clips: list[Heard], tokenizer: Tokenizer) -> float:
    """Word error rate of greedy decoding against the words' own written form."""
    adapter.eval()
    wrong = total = 0
    for clip in clips:
        rows, lengths = collate([clip], None)
        _, _, logits, _ = adapter(rows, lengths)
        got = transcript(greedy(logits[0], adapter.unit_ids), tokenizer)
        wanted = transcript(unit_ids(clip.said, tokenizer), tokenizer)
        bad, count = words_wrong(wanted, got)
        wrong, total = wrong + bad, total + count
    adapter.train()
    return wrong / max(1, total)


def greedy(logits: Tensor, ids: Tensor) -> list[int]:
    """Best tokens of one utterance."""
    best = torch.unique_consecutive(logits.argmax(-1))
    return [int(ids[b - 1]) for b in best.tolist() if b]


def _clips(data: Path) -> list[Heard]:
    return [*load_heard(data, "train"), *load_heard(data, "kokoro")]


def _loss(adapter: CtcAdapter, batch: list[Heard], tokenizer: Tokenizer, recipe: Recipe) -> Tensor:
    known = {int(token): index + 1 for index, token in enumerate(adapter.unit_ids)}
    rows, lengths = collate(batch, recipe)
    with torch.autocast("cpu", torch.bfloat16):
        letters, letter_lengths, units, unit_lengths = adapter(rows, lengths)
    wanted = [[known[t] for t in unit_ids(c.said, tokenizer) if t in known] for c in batch]
    spelled = [[LETTERS.index(x) + 1 for x in c.said if x in LETTERS] for c in batch]
    aid = _ctc(letters, letter_lengths, spelled)
    return _ctc(units, unit_lengths, wanted) + recipe.letter_weight * aid


def grown(start: Mapping[str, Tensor], tokens: list[int]) -> dict[str, Tensor]:
    """A trained adapter's weights with a head for `tokens`; rows of new ones begin as unlikely."""
    places = {int(token): index for index, token in enumerate(start["unit_ids"])}
    old, bias = start["unit_head.weight"], start["unit_head.bias"]
    rows = [old[:1]]
    sides = [bias[:1]]
    for token in tokens:
        at = places.get(token)
        rows.append(torch.randn(1, old.shape[1]) * 0.02 if at is None else old[at + 1 : at + 2])
        sides.append(bias.new_tensor([-4.0]) if at is None else bias[at + 1 : at + 2])
    head = {"unit_head.weight": torch.cat(rows), "unit_head.bias": torch.cat(sides)}
    return {**start, **head, "unit_ids": torch.tensor(tokens, dtype=torch.int32)}


def train(
    data: Path,
    folder: Path,
    tokenizer: Tokenizer,
    recipe: Recipe,
    start: Mapping[str, Tensor] | None = None,
) -> None:
    """Run or resume; new shards are picked up at every evaluation.

    Args:
        data: Where the shards are.
        folder: Where state and result are kept.
        tokenizer: The language model's.
        recipe: Settings.
        start: An adapter to go on from instead of none; it learns what units it lacks.
    """
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "listener.pt"
    clips = _clips(data)
    state = torch.load(state_file, weights_only=True) if state_file.exists() else None
    tokens = state["units"] if state else inventory(_texts(clips), tokenizer)
    adapter = _adapter(tokens, state["model"] if state else start and grown(start, tokens))
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=recipe.rate, betas=(0.9, 0.98))
    step, spent = 0, 0.0
    if state:
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    tests = {k: list(load_heard(data, k)) for k in TESTS}
    _print(clips=len(clips), units=len(tokens))
    rng = random.Random(recipe.seed + step)
    stream = iter(batches(clips, recipe, rng))
    total, last = recipe.minutes * 60, time.monotonic()
    losses: list[float] = []
    while spent < total:
        begin = time.process_time()
        fall = min(1.0, max(0.02, (1 - spent / total) / 0.65))
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(1.0, (step + 1) / recipe.warmup) * fall
        loss = _loss(adapter, next(stream), tokenizer, recipe)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(adapter.parameters(), 3.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        step += 1
        spent += time.process_time() - begin
        if step % 50 == 0:
            mean = round(sum(losses) / len(losses), 3)
            _print(step=step, minutes=round(spent / 60, 2), loss=mean)
            losses.clear()
        if time.monotonic() - last > recipe.save_minutes * 60 or spent >= total:
            last = time.monotonic()
            parts = {"model": adapter.state_dict(), "optimiser": optimiser.state_dict()}
            rest = {"step": step, "spent": spent, "units": tokens}
            rest["config"] = asdict(adapter.config)
            torch.save({**parts, **rest}, state_file)
            rates = {k: round(error_rate(adapter, t, tokenizer), 3) for k, t in tests.items() if t}
            _print(step=step, wer=rates)
            if len(fresh := _clips(data)) > len(clips):
                clips = fresh
                stream = iter(batches(clips, recipe, rng))
                _print(clips=len(clips))


def _adapter(tokens: list[int], weights: Mapping[str, Tensor] | None) -> CtcAdapter:
    adapter = CtcAdapter(CtcAdapterConfig(units=len(tokens)))
    adapter.unit_ids = torch.tensor(tokens, dtype=torch.int32)
    if weights is not None:
        adapter.load_state_dict(dict(weights))
    return adapter


def _texts(clips: list[Heard]) -> list[str]:
    rng, common = random.Random(0), common_words()
    more = [sample_reading(rng, "train", common) for _ in range(20_000)]
    return [clip.said for clip in clips] + more


def words(adapter: CtcAdapter, tokenizer: Tokenizer, count: int, seed: int = 4) -> WordModel:
    """Which of the adapter's units follow one another in `count` sampled utterances."""
    known = {int(token): index + 1 for index, token in enumerate(adapter.unit_ids)}
    rng, common = random.Random(seed), common_words()

    def units() -> Iterable[list[int]]:
        for _ in range(count):
            said = sample_reading(rng, "train", common)
            yield [known[t] for t in unit_ids(said, tokenizer) if t in known]

    return WordModel.count(units(), len(known))


def _print(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def _ctc(logits: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
    flat = torch.tensor([t for target in targets for t in target], dtype=torch.long)
    sizes = torch.tensor([len(t) for t in targets])
    return F.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1), flat, lengths, sizes, zero_infinity=True
    )


def load(folder: Path) -> CtcAdapter:
    """The trained adapter."""
    state = torch.load(folder / "listener.pt", weights_only=True)
    sizes = state["config"]
    adapter = CtcAdapter(CtcAdapterConfig(**{**sizes, "blocks": tuple(sizes["blocks"])}))
    adapter.load_state_dict(state["model"])
    return adapter.eval()
