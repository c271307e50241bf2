"""Stage 3.0 of vita-tiny: a lexicon of common words, and a speller for all others."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.speech.phones import (
    END,
    GAP,
    LETTERS,
    PAUSES,
    START,
    Speller,
    SpellerConfig,
    read_lexicon,
)
from vita_model.speech.text import spoken
from vita_model.training import dialogues, voices
from vita_model.training.corpora import load_spoken
from vita_model.training.loop import Run, train_steps
from vita_model.training.speaker import inventory


def words_of(tokenizer: Tokenizer) -> set[str]:
    """Whole words of the vocabulary, words of the dialogue corpus, single letters."""
    words = {
        token[1:].lower()
        for token in tokenizer.get_vocab()
        if re.fullmatch(r"Ġ[A-Za-z][a-z']+", token)
    }
    folder = Path(dialogues.__file__).parent
    for path in folder.rglob("*.yaml"):
        words |= set(re.findall(r"[a-z']+", spoken(path.read_text(encoding="utf-8"))))
    words |= {*LETTERS, "eh", "wi", "fi"}
    return {word.strip("'") for word in words if len(word) < 24 and word.strip("'")}


def build_lexicon(words: Iterable[str], path: Path) -> dict[str, str]:
    """Read every word with espeak-ng in the middle of a sentence; write a gzip file."""
    lexicon: dict[str, str] = {}
    ordered = sorted(set(words))
    for start in range(0, len(ordered), 40):
        chunk = ordered[start : start + 40]
        text = "say " + " now, say ".join(chunk) + " now"
        readings = zip(chunk, _clauses(text, len(chunk)), strict=True)
        lexicon.update({word: reading for word, reading in readings if reading})
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for word, reading in lexicon.items():
            file.write(f"{word}\t{reading}\n".encode())
    return lexicon


def _clauses(text: str, count: int) -> list[str]:
    flat = "".join("".join(sentence) for sentence in voices.phonemes(text))
    clauses = [clause.strip() for clause in flat.split(",")]
    if len(clauses) != count:
        return [""] * count
    inner = [clause.split(" ")[1:-1] for clause in clauses]
    return ["".join(words) for words in inner]


def train_speller(lexicon: Mapping[str, str], phonemes: Sequence[str], run: Run) -> bool:
    """CTC from letters to phonemes over the lexicon; every fiftieth word is kept for a test."""
    torch.manual_seed(run.seed)
    speller = Speller(SpellerConfig(), phonemes)
    number = {p: i + 1 for i, p in enumerate(phonemes)}
    items = [
        ([LETTERS.index(c) + 1 for c in w], [number[p] for p in r if p in number])
        for w, r in lexicon.items()
    ]
    items = [item for index, item in enumerate(items) if index % 50]
    optimiser = torch.optim.AdamW(speller.parameters(), run.pace.rate, betas=(0.9, 0.98))

    def loss_of(_: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        return _loss(speller, rng.sample(items, min(96, len(items)))), {}

    kept = {"phonemes": list(phonemes)}
    return train_steps(run, speller, optimiser, loss_of, state=run.state(), kept=lambda: kept)


def _loss(speller: Speller, batch: list[tuple[list[int], list[int]]]) -> Tensor:
    longest = max(len(w) for w, _ in batch)
    letters = torch.tensor([w + [0] * (longest - len(w)) for w, _ in batch])
    logits = speller(letters).log_softmax(-1).transpose(0, 1)
    lengths = torch.tensor([len(w) * speller.config.spread for w, _ in batch])
    targets = torch.tensor([t for _, r in batch for t in r])
    sizes = torch.tensor([len(r) for _, r in batch])
    return F.ctc_loss(logits, targets, lengths, sizes, zero_infinity=True)


def train(data: Path, folder: Path, tokenizer: Tokenizer, run: Run) -> bool:
    """Write the lexicon into a folder unless it is there, and run or resume the speller's stage."""
    file = folder / "lexicon.tsv.gz"
    folder.mkdir(parents=True, exist_ok=True)
    lexicon = read_lexicon(file) if file.exists() else build_lexicon(words_of(tokenizer), file)
    marks = {START, END, GAP, *PAUSES}
    phonemes = [p for p in inventory(load_spoken(data, "train")) if p not in marks]
    return train_speller(lexicon, phonemes, run)


def load(file: Path) -> Speller:
    """The trained speller."""
    state = torch.load(file, weights_only=True)
    speller = Speller(SpellerConfig(), state["phonemes"])
    speller.load_state_dict(state["model"])
    return speller.eval()
