"""Stage 2.1c of vita-tiny: Whisper's decoder learns to write the language model's units.

It starts from its published weights, the encoder stays frozen, and its rows come from the shards
that the CTC adapter learns from.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.reader import END, STARTS, Reader, ReaderConfig
from vita_model.audio.units import DIGITS, transcript, unit_ids
from vita_model.placement import matrix_type
from vita_model.training import listener
from vita_model.training.corpora import Heard, load_heard
from vita_model.training.loop import Run, train_steps
from vita_model.training.whisper_weights import decoder_weights

_WORDS = {digit: word for word, digit in DIGITS.items()}
_SKIP = -100


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the stage.

    Attributes:
        frames_per_batch: Encoder rows of a step.
        row_noise: Of the rows, whose spread is about one.
        wrong_units: Share of the units before that are replaced, so that sound counts more.
        smoothing: Of the labels.
        texts: Sampled utterances that tell which units are needed.
    """

    frames_per_batch: int = 6000
    row_noise: float = 0.1
    wrong_units: float = 0.06
    smoothing: float = 0.05
    texts: int = 20_000


def written(token: int, tokenizer: Tokenizer) -> str:
    """How Whisper writes a unit: digits as words."""
    piece = tokenizer.decode([token], skip_special_tokens=False)
    return f" {_WORDS[piece]}" if piece in _WORDS else piece


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
        start: A reader to go on from instead of Whisper's decoder.
    """
    torch.manual_seed(run.seed)
    state = run.state()
    clips = listener.training_clips(data)
    tokens = (
        [int(token) for token in start["unit_ids"]]
        if start is not None
        else state["units"]
        if state
        else listener.inventory(listener.texts(clips, settings.texts), tokenizer)
    )
    reader = build(tokens)
    if start is not None:
        reader.load_state_dict(dict(start))
    elif not state:
        first = decoder_weights([written(t, tokenizer) for t in tokens], reader.config.longest)
        reader.load_state_dict(first | {"unit_ids": reader.unit_ids})
    optimiser = torch.optim.AdamW(
        reader.parameters(), lr=run.pace.rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    known = {token: index + 1 for index, token in enumerate(tokens)}
    done = state["step"] if state else 0
    groups = listener.batches(clips, settings.frames_per_batch, random.Random(run.seed))
    stream = islice(groups, done, None)

    def loss_of(_: int, __: random.Random) -> tuple[Tensor, dict[str, float]]:
        return _loss(reader, next(stream), known, tokenizer, settings)

    kept = {"units": tokens, "config": asdict(reader.config)}
    return train_steps(run, reader, optimiser, loss_of, state=state, kept=lambda: kept)


def build(tokens: list[int]) -> Reader:
    """A reader without weights for an inventory."""
    reader = Reader(ReaderConfig(units=len(tokens)))
    reader.unit_ids = torch.tensor(tokens, dtype=torch.int32)
    return reader


def _loss(
    reader: Reader,
    batch: list[Heard],
    known: Mapping[int, int],
    tokenizer: Tokenizer,
    settings: Settings,
) -> tuple[Tensor, dict[str, float]]:
    rows, lengths = listener.collate(batch, settings.row_noise)
    room = reader.config.longest - STARTS
    said = [[known[t] for t in unit_ids(c.said, tokenizer) if t in known][:room] for c in batch]
    longest = max(len(units) for units in said)
    before = torch.zeros(len(batch), longest, dtype=torch.long)
    wanted = torch.full((len(batch), longest + 1), _SKIP)
    for index, units in enumerate(said):
        before[index, : len(units)] = torch.tensor(units)
        wanted[index, : len(units) + 1] = torch.tensor([*units, END])
    wrong = torch.rand(before.shape) < settings.wrong_units
    before = torch.where(wrong, torch.randint(1, len(known) + 1, before.shape), before)
    with torch.autocast("cpu", torch.bfloat16, enabled=matrix_type() is torch.bfloat16):
        logits = reader(rows, lengths, before)
    places = wanted != _SKIP
    found, labels = logits[places].float(), wanted[places]
    loss = F.cross_entropy(found, labels, label_smoothing=settings.smoothing)
    return loss, {"right": float((found.argmax(-1) == labels).float().mean())}


@torch.no_grad()
def error_rate(reader: Reader, clips: list[Heard], tokenizer: Tokenizer) -> float:
    """Word error rate against the words' own written form."""
    wrong = total = 0
    for clip in clips:
        got = transcript(reader.tokens(reader.read(clip.rows.float())), tokenizer)
        wanted = transcript(unit_ids(clip.said, tokenizer), tokenizer)
        bad, count = listener.words_wrong(wanted, got)
        wrong, total = wrong + bad, total + count
    return wrong / max(1, total)


def rates(reader: Reader, data: Path, tokenizer: Tokenizer) -> dict[str, float]:
    """Word error rates on the voices kept for tests."""
    tests = {kind: list(load_heard(data, kind)) for kind in listener.TESTS}
    return {k: round(error_rate(reader, t, tokenizer), 3) for k, t in tests.items() if t}


def load(file: Path) -> Reader:
    """The reader of a state file."""
    state = torch.load(file, weights_only=True)
    reader = build(state["units"])
    reader.load_state_dict(state["model"])
    return reader.eval()
