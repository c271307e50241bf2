"""Stage 3.0 of vita-tiny: a lexicon of common words, and a speller for all others."""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.speech.phones import END, GAP, LETTERS, PAUSES, START, Speller, SpellerConfig
from vita_model.speech.text import spoken
from vita_model.training import dialogues, voices
from vita_model.training.corpora import load_spoken
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


def train_speller(lexicon: dict[str, str], phonemes: Sequence[str], minutes: float) -> Speller:
    """CTC from letters to phonemes over the lexicon; every fiftieth word is the test."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    speller = Speller(SpellerConfig(), phonemes)
    number = {p: i + 1 for i, p in enumerate(phonemes)}
    items = [
        ([LETTERS.index(c) + 1 for c in w], [number[p] for p in r if p in number])
        for w, r in lexicon.items()
    ]
    test, items = items[::50], [x for i, x in enumerate(items) if i % 50]
    optimiser = torch.optim.AdamW(speller.parameters(), 1e-3, betas=(0.9, 0.98))
    rng, begin, step = random.Random(0), time.process_time(), 0
    while (spent := time.process_time() - begin) < minutes * 60:
        for group in optimiser.param_groups:
            fall = max(0.02, 1 - spent / minutes / 60)
            group["lr"] = 1.5e-3 * min(1, (step + 1) / 100) * fall
        loss = _loss(speller, rng.sample(items, 96))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(speller.parameters(), 1.0)
        optimiser.step()
        step += 1
    speller.eval()
    words = ["".join(LETTERS[c - 1] for c in w) for w, _ in test]
    right = sum("".join(speller.read(w)) == lexicon[w] for w in words)
    print(json.dumps({"steps": step, "unseen_words_right": round(right / len(words), 3)}))
    return speller


def _loss(speller: Speller, batch: list[tuple[list[int], list[int]]]) -> Tensor:
    longest = max(len(w) for w, _ in batch)
    letters = torch.tensor([w + [0] * (longest - len(w)) for w, _ in batch])
    logits = speller(letters).log_softmax(-1).transpose(0, 1)
    lengths = torch.tensor([len(w) * speller.config.spread for w, _ in batch])
    targets = torch.tensor([t for _, r in batch for t in r])
    sizes = torch.tensor([len(r) for _, r in batch])
    return F.ctc_loss(logits, targets, lengths, sizes, zero_infinity=True)


def make(work: Path, tokenizer: Tokenizer, minutes: float = 4.0) -> None:
    """Write `lexicon.tsv.gz` and `speller.pt` into the work folder unless they are there."""
    if (work / "speller.pt").exists():
        return
    lexicon = build_lexicon(words_of(tokenizer), work / "lexicon.tsv.gz")
    marks = {START, END, GAP, *PAUSES}
    phonemes = [p for p in inventory(load_spoken(work / "data", "train")) if p not in marks]
    speller = train_speller(lexicon, phonemes, minutes)
    torch.save({"model": speller.state_dict(), "phonemes": speller.phonemes}, work / "speller.pt")
