"""Stage 2.1 of vita-tiny: CTC of the adapter onto the language model's tokens, encoder frozen."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.beam import WordModel
from vita_model.audio.ctc_adapter import CtcAdapter, CtcAdapterConfig
from vita_model.audio.units import transcript, unit_ids
from vita_model.placement import matrix_type
from vita_model.training.corpora import Heard, common_words, load_heard
from vita_model.training.dialogues.reading import sample_reading
from vita_model.training.loop import Run, train_steps
from vita_model.training.trainer import TrainingError

TESTS = ("slt", "slt-babble", "joe-test", "kokoro-f", "kokoro-m")
LETTERS = " abcdefghijklmnopqrstuvwxyz'"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the stage; `texts` sampled utterances tell which units are needed."""

    frames_per_batch: int = 3600
    letter_weight: float = 0.3
    row_noise: float = 0.15
    texts: int = 20_000


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


def batches(clips: list[Heard], frames: int, rng: random.Random) -> Iterable[list[Heard]]:
    """Clips of like length together, at most `frames` rows, batches in random order, for ever."""
    while True:
        order = sorted(clips, key=lambda clip: len(clip.rows) + rng.uniform(-12, 12))
        groups: list[list[Heard]] = [[]]
        for clip in order:
            if groups[-1] and (len(groups[-1]) + 1) * len(clip.rows) > frames:
                groups.append([])
            groups[-1].append(clip)
        rng.shuffle(groups)
        yield from groups


def collate(clips: list[Heard], row_noise: float | None) -> tuple[Tensor, Tensor]:
    """Padded rows and lengths; with noise also time masks and channels left out."""
    lengths = torch.tensor([len(clip.rows) for clip in clips])
    rows = torch.zeros(len(clips), int(lengths.max()), clips[0].rows.shape[1])
    for index, clip in enumerate(clips):
        value = clip.rows.float()
        if row_noise is not None:
            value = value + row_noise * torch.randn_like(value)
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


def training_clips(data: Path) -> list[Heard]:
    """All clips that listeners learn from.

    Raises:
        TrainingError: There are none.
    """
    clips = [*load_heard(data, "train"), *load_heard(data, "kokoro")]
    if not clips:
        raise TrainingError(f"{data} has no clips to listen to; make them with vita data synth.")
    return clips


def _loss(
    adapter: CtcAdapter, batch: list[Heard], tokenizer: Tokenizer, settings: Settings
) -> Tensor:
    known = {int(token): index + 1 for index, token in enumerate(adapter.unit_ids)}
    rows, lengths = collate(batch, settings.row_noise)
    with torch.autocast("cpu", torch.bfloat16, enabled=matrix_type() is torch.bfloat16):
        letters, letter_lengths, units, unit_lengths = adapter(rows, lengths)
    wanted = [[known[t] for t in unit_ids(c.said, tokenizer) if t in known] for c in batch]
    spelled = [[LETTERS.index(x) + 1 for x in c.said if x in LETTERS] for c in batch]
    aid = _ctc(letters, letter_lengths, spelled)
    return _ctc(units, unit_lengths, wanted) + settings.letter_weight * aid


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
    tokenizer: Tokenizer,
    run: Run,
    settings: Settings,
    start: Mapping[str, Tensor] | None = None,
) -> bool:
    """Run or resume.

    Args:
        data: Where the shards are.
        tokenizer: The language model's.
        run: Length, place and chance.
        settings: Of the stage.
        start: An adapter to go on from instead of none; it learns what units it lacks.
    """
    torch.manual_seed(run.seed)
    state = run.state()
    clips = training_clips(data)
    tokens = state["units"] if state else inventory(texts(clips, settings.texts), tokenizer)
    adapter = _adapter(tokens, None if state or start is None else grown(start, tokens))
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=run.pace.rate, betas=(0.9, 0.98))
    done = state["step"] if state else 0
    stream = islice(batches(clips, settings.frames_per_batch, random.Random(run.seed)), done, None)

    def loss_of(_: int, __: random.Random) -> tuple[Tensor, dict[str, float]]:
        return _loss(adapter, next(stream), tokenizer, settings), {}

    kept = {"units": tokens, "config": asdict(adapter.config)}
    return train_steps(run, adapter, optimiser, loss_of, state=state, kept=lambda: kept)


def rates(adapter: CtcAdapter, data: Path, tokenizer: Tokenizer) -> dict[str, float]:
    """Word error rates on the voices kept for tests."""
    tests = {kind: list(load_heard(data, kind)) for kind in TESTS}
    return {k: round(error_rate(adapter, t, tokenizer), 3) for k, t in tests.items() if t}


def _adapter(tokens: list[int], weights: Mapping[str, Tensor] | None) -> CtcAdapter:
    adapter = CtcAdapter(CtcAdapterConfig(units=len(tokens)))
    adapter.unit_ids = torch.tensor(tokens, dtype=torch.int32)
    if weights is not None:
        adapter.load_state_dict(dict(weights))
    return adapter


def texts(clips: list[Heard], count: int) -> list[str]:
    """What the clips say, and `count` sampled utterances besides."""
    rng, common = random.Random(0), common_words()
    more = [sample_reading(rng, "train", common) for _ in range(count)]
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


def _ctc(logits: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
    flat = torch.tensor([t for target in targets for t in target], dtype=torch.long)
    sizes = torch.tensor([len(t) for t in targets])
    return F.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1), flat, lengths, sizes, zero_infinity=True
    )


def load(file: Path) -> CtcAdapter:
    """The trained adapter."""
    state = torch.load(file, weights_only=True)
    sizes = state["config"]
    adapter = CtcAdapter(CtcAdapterConfig(**{**sizes, "blocks": tuple(sizes["blocks"])}))
    adapter.load_state_dict(state["model"])
    return adapter.eval()
