"""Words to phonemes: a lexicon for common words, a small learned speller for the rest.

Both were made from espeak-ng's reading of English words; neither needs it at run time.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
PAUSES = {",": ",", ".": ".", "?": "?", "!": "!"}
START, END, GAP = "^", "$", " "


@dataclass(frozen=True, slots=True)
class SpellerConfig:
    """Sizes of the speller. `spread` phoneme slots per letter."""

    width: int = 192
    heads: int = 4
    layers: int = 4
    spread: int = 3


class Speller(nn.Module):
    """Letters of one word to phonemes: a bidirectional transformer with a CTC output."""

    def __init__(self, config: SpellerConfig, phonemes: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.phonemes = list(phonemes)
        self.letters = nn.Embedding(len(LETTERS) + 1, config.width)
        self.places = nn.Embedding(48, config.width)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            2 * config.width,
            0.1,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.spread = nn.Linear(config.width, config.spread * config.width)
        self.head = nn.Linear(config.width, len(phonemes) + 1)

    @override
    def forward(self, letters: Tensor) -> Tensor:
        """`[batch, letters]` (0 pads) to logits `[batch, spread * letters, phonemes + 1]`."""
        batch, count = letters.shape
        x = self.letters(letters) + self.places(torch.arange(count))
        x = self.layers(x, src_key_padding_mask=letters == 0)
        x = self.spread(x).view(batch, count * self.config.spread, -1)
        return self.head(F.gelu(x))

    @torch.no_grad()
    def read(self, word: str) -> list[str]:
        """Phonemes of one lower-case word."""
        codes = [LETTERS.index(c) + 1 for c in word if c in LETTERS][:48]
        if not codes:
            return []
        best = torch.unique_consecutive(self(torch.tensor([codes]))[0].argmax(-1))
        return [self.phonemes[int(b) - 1] for b in best if b]


class Pronouncer:
    """Text in spoken words to the phoneme sequence the speech decoder was trained on."""

    def __init__(self, lexicon: Mapping[str, str], speller: Speller) -> None:
        self._lexicon = lexicon
        self._speller = speller.eval()
        self._word = lru_cache(maxsize=20_000)(self._look_up)

    def _look_up(self, word: str) -> tuple[str, ...]:
        known = self._lexicon.get(word)
        if known is None and word.endswith("'s"):
            stem = self._lexicon.get(word[:-2])
            known = stem + "z" if stem else None
        return tuple(known) if known is not None else tuple(self._speller.read(word))

    def phonemes(self, words: str) -> list[str]:
        """Phonemes with gaps and pauses; starts with `^` and ends with `.` and `$`."""
        result = [START]
        for word, pause in re.findall(r"([a-z']+)|([,.?!])", words.lower()):
            if pause:
                if result[-1] not in PAUSES and result[-1] != START:
                    result.append(pause)
                continue
            if result[-1] != START:
                result.append(GAP)
            result.extend(self._word(word))
        if result[-1] not in PAUSES:
            result.append(".")
        return [*result, END]


def read_lexicon(path: Path) -> dict[str, str]:
    """Lexicon file: gzip, one `word<TAB>phonemes` a line."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split("\t") for line in file)
